import { system } from '../../lib';
import {
  arraysOf,
  expertLayers,
  familyCases,
  forwardOptions,
  openFamily,
  useInstructionSet,
} from '../support/families';
import { closeModels, device } from '../support/models';
import { deviations, floatsOf } from '../support/passes';
import { normalisedError, sameBits } from '../support/tolerance';

const cases = familyCases();
const caseNamed = (wanted: string) => {
  const found = cases.find(({ name }) => name === wanted);
  if (found === undefined) throw new RangeError(`there is no case ${wanted}`);
  return found;
};

// The golden data of a GPU are those of the CPU, once.
const instructionSets = device === 'cpu' ? system().instructionSets : [device];

describe.each(instructionSets)('forward passes of the other families with %s', (instructionSet) => {
  beforeAll(() => useInstructionSet(device === 'cpu' ? instructionSet : undefined));
  afterAll(async () => {
    await closeModels();
    await useInstructionSet(undefined);
  });

  it.each(cases)('$name', async (one) => {
    const { checkpoint, golden } = one;
    const model = await openFamily(checkpoint);
    if (device === 'cpu') expect(model.info.instructionSet).toBe(instructionSet);
    const output = await model.forward(golden.tokens, forwardOptions(one));

    const arrays = arraysOf(one);
    expect(output.shape).toEqual(arrays.shape('logits'));
    const layers = expertLayers(one);
    expect(output.routing ?? []).toHaveLength(layers.length);
    const found = floatsOf(output, layers);
    const recorded = Object.keys(golden.arrays).filter((name) => !/^(f64|detail|topk_ids)\./.test(name));
    expect([...found.keys()].sort()).toEqual(recorded.sort());
    expect(deviations(arrays, golden.f32_vs_f64, found)).toEqual([]);
    // Every case's min_router_gap is above the errors of router logits, so that the routes are certain.
    for (const [index, layer] of layers.entries()) {
      expect(output.routing?.[index]?.expertIds).toEqual(arrays.integers(`topk_ids.layer${layer}`));
    }
  });
});

describe('masks of attention', () => {
  afterAll(closeModels);

  const logitsOf = async (name: string, blockLength?: number) => {
    const { checkpoint, golden } = caseNamed(name);
    const model = await openFamily(checkpoint);
    return (await model.forward(golden.tokens, blockLength === undefined ? {} : { blockLength })).logits;
  };

  it('the model’s own block is the default', async () => {
    const name = 'tiny-llada2-len64-half-b32';
    expect(sameBits(await logitsOf(name), await logitsOf(name, 32))).toBe(true);
    expect(sameBits(await logitsOf(name), await logitsOf(name, 8))).toBe(false);
  });

  it('a block as long as the canvas, or 0, makes all positions visible', async () => {
    const name = 'tiny-llada2-len40-half-full';
    expect(sameBits(await logitsOf(name, 0), await logitsOf(name, 40))).toBe(true);
    expect(sameBits(await logitsOf(name, 0), await logitsOf(name, 39))).toBe(false);
  });

  it.each([
    ['tiny-qwen3-len33-text', 1],
    ['tiny-qwen3-moe-len33-text', 1],
    ['tiny-llada2-len64-half-b32', 32],
  ])('%s: rows do not depend on later blocks of %i', async (name, block) => {
    const { checkpoint, golden } = caseNamed(name);
    const model = await openFamily(checkpoint);
    const kept = Math.floor(golden.tokens.length / 2 / block) * block;
    const start = await model.forward(golden.tokens.slice(0, kept));
    const whole = await model.forward(golden.tokens);
    // Sums over more keys may be in another order.
    expect(normalisedError(start.logits, whole.logits.slice(0, start.logits.length))).toBeLessThan(1e-11);
  });

  it('rows of a bidirectional model depend on later ones', async () => {
    const { checkpoint, golden } = caseNamed('tiny-llada-len33-half');
    const model = await openFamily(checkpoint);
    const start = await model.forward(golden.tokens.slice(0, 16), { positions: [0] });
    const whole = await model.forward(golden.tokens, { positions: [0] });
    expect(normalisedError(start.logits, whole.logits)).toBeGreaterThan(1e-3);
  });
});
