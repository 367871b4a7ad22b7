import { GoldenArrays, readGolden, type WithArrays } from '../support/goldens';
import { closeModels, openModel } from '../support/models';
import { maxAbsoluteError } from '../support/tolerance';

interface ForwardGolden extends WithArrays {
  readonly name: string;
  readonly config: string;
  readonly same_result_checkpoints: readonly string[];
  readonly tokens: readonly number[];
  readonly rows: readonly number[] | null;
  readonly f32_vs_f64: Readonly<Record<string, { readonly max_abs: number; readonly max_value: number }>>;
}

const names = readGolden<{ name: string }[]>('forward/index.json').map(({ name }) => name);
const cases = names.flatMap((name) => {
  const golden = readGolden<ForwardGolden>(`forward/${name}.json`);
  return golden.same_result_checkpoints.flatMap((checkpoint) =>
    [1, 2].map((threads) => ({ name, checkpoint, threads, golden })),
  );
});

/** Half a unit in the last place of an f32 near 1: a lower bound, because a recorded error may be small by chance. */
const rounding = 2 ** -24;

/**
 * Tolerance for f32: five times the reference's own error, which is zero if nothing is computed. Routing weights may be
 * off by half the error of router logits: the softmax passes on no more, and a row records few of them.
 */
function toleranceOf({ name, f32_vs_f64 }: ForwardGolden, array: string): number {
  const own = f32_vs_f64[array];
  if (own === undefined) throw new RangeError(`${name} records no error scale for ${array}`);
  if (own.max_abs === 0) return 0;
  const logits = f32_vs_f64[array.replace('topk_weights', 'router_logits')]?.max_abs ?? 0;
  const carried = array.startsWith('topk_weights') ? logits / 2 : 0;
  return 5 * Math.max(own.max_abs, rounding * own.max_value, carried);
}

function expectClose(golden: ForwardGolden, arrays: GoldenArrays, name: string, actual: Float32Array): void {
  const error = maxAbsoluteError(actual, arrays.floats(name, true));
  const tolerance = toleranceOf(golden, name);
  if (!(error <= tolerance)) throw new Error(`${name} is ${error} off, more than ${tolerance}`);
}

describe('forward passes of the golden data', () => {
  afterAll(closeModels);

  it.each(cases)('$name on $checkpoint with $threads thread(s)', async ({ checkpoint, threads, golden }) => {
    const model = await openModel({ checkpoint, config: golden.config }, { threads });
    const arrays = new GoldenArrays(`forward/${golden.name}.json`, golden);
    const positions = golden.rows ?? undefined;
    const output = await model.forward(golden.tokens, { positions, hidden: true, routing: true });

    expect(output.shape).toEqual(arrays.shape('logits'));
    const { hidden, routing } = output;
    if (hidden === undefined || routing === undefined)
      throw new Error('hidden states or routing are missing');

    const found = new Map<string, Float32Array>([
      ['logits', output.logits],
      ['hidden.embed', hidden.embed],
      ['hidden.final_norm', hidden.finalNorm],
    ]);
    hidden.layers.forEach((rows, layer) => {
      found.set(`hidden.layer${layer}`, rows);
    });
    routing.forEach(({ logits, expertWeights }, layer) => {
      found.set(`router_logits.layer${layer}`, logits);
      found.set(`topk_weights.layer${layer}`, expertWeights);
    });

    const recorded = [...found.keys()].filter((name) => arrays.has(name));
    const layers = hidden.layers.length;
    expect(recorded).toHaveLength(golden.rows === null ? 3 + 3 * layers : 2);
    for (const name of recorded) expectClose(golden, arrays, name, found.get(name) as Float32Array);

    if (golden.rows === null) {
      expect(routing).toHaveLength(layers);
      routing.forEach(({ expertIds }, layer) => {
        expect(expertIds).toEqual(arrays.integers(`topk_ids.layer${layer}`));
      });
    }
  });

  it('returns the positions that were asked for, in their order', async () => {
    const golden = readGolden<ForwardGolden>('forward/tiny-moe-len33-half.json');
    const model = await openModel({ checkpoint: 'tiny-moe' });
    const arrays = new GoldenArrays('forward/tiny-moe-len33-half.json', golden);
    const positions = [32, 0, 17, 17];
    const { logits, shape } = await model.forward(golden.tokens, { positions });
    const vocabulary = shape[1];
    expect(shape).toEqual([positions.length, 512]);
    const all = arrays.floats('logits', true);
    const expected = positions.flatMap((p) => [...all.subarray(p * vocabulary, (p + 1) * vocabulary)]);
    expectClose(golden, arrays, 'logits', (await model.forward(golden.tokens)).logits);
    const scale = golden.f32_vs_f64.logits?.max_abs ?? 0;
    expect(maxAbsoluteError(logits, expected)).toBeLessThanOrEqual(5 * scale);
  });
});
