import { GoldenArrays, readGolden, type WithArrays } from '../support/goldens';
import { closeModels, openModel } from '../support/models';
import { deviations, type ErrorScales, floatsOf } from '../support/passes';
import { maxAbsoluteError } from '../support/tolerance';

interface ForwardGolden extends WithArrays {
  readonly name: string;
  readonly config: string;
  readonly same_result_checkpoints: readonly string[];
  readonly tokens: readonly number[];
  readonly rows: readonly number[] | null;
  readonly f32_vs_f64: ErrorScales;
}

const names = readGolden<{ name: string }[]>('forward/index.json').map(({ name }) => name);
const cases = names.flatMap((name) => {
  const golden = readGolden<ForwardGolden>(`forward/${name}.json`);
  return golden.same_result_checkpoints.flatMap((checkpoint) =>
    [1, 2].map((threads) => ({ name, checkpoint, threads, golden })),
  );
});

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

    const found = floatsOf(output, [...routing.keys()]);
    const recorded = [...found].filter(([name]) => arrays.has(name));
    const layers = hidden.layers.length;
    expect(recorded).toHaveLength(golden.rows === null ? 3 + 3 * layers : 2);
    expect(deviations(arrays, golden.f32_vs_f64, recorded)).toEqual([]);

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
    const whole = (await model.forward(golden.tokens)).logits;
    expect(deviations(arrays, golden.f32_vs_f64, [['logits', whole]])).toEqual([]);
    const scale = golden.f32_vs_f64.logits?.max_abs ?? 0;
    expect(maxAbsoluteError(logits, expected)).toBeLessThanOrEqual(5 * scale);
  });
});
