import { GoldenArrays, readGolden } from '../support/goldens';
import {
  batchOf,
  closeTrainers,
  type GoldenBatch,
  type GoldenModel,
  gradientsOf,
  norm,
  openTrainer,
  projection,
  sampledPositions,
} from './support';

interface GradientGolden extends GoldenModel, GoldenBatch {
  readonly loss: { readonly total: number; readonly main: number; readonly aux: number; readonly z: number };
  readonly grad_norm: number;
  readonly store: 'full' | 'rounded' | 'sampled';
  readonly f32_vs_f64: Readonly<Record<string, { readonly nmse: number }>>;
  readonly tensors: Readonly<
    Record<string, { readonly norm: number; readonly sum: number; readonly projections: readonly number[] }>
  >;
  readonly sample?: { readonly count: number; readonly salt: number };
}

interface AccumulationGolden extends GoldenModel, GoldenBatch {
  readonly loss: { readonly total: number };
  readonly micro_batches: readonly GoldenBatch[];
}

const names = readGolden<{ name: string }[]>('training/grad/index.json').map(({ name }) => name);
const cases = names.flatMap((name) =>
  (['none', 'attention', 'layer'] as const).map((recompute) => ({ name, recompute })),
);

/** Largest NMSE of a tensor: five times the amplitude of PyTorch's own error, never below the noise of f32. */
const bound = (nmse: number) => Math.max(25 * nmse, 1e-11);

/** Checks a gradient against what the golden data store of it. */
function expectGradient(
  golden: GradientGolden,
  arrays: GoldenArrays,
  name: string,
  actual: Float32Array,
): void {
  const expected = golden.tensors[name];
  const { nmse } = golden.f32_vs_f64[name] ?? { nmse: 0 };
  if (expected === undefined) throw new Error(`no golden gradient of ${name}`);
  if (expected.norm < 1e-9 * golden.grad_norm) {
    expect(norm(actual)).toBeLessThanOrEqual(1e-6 * golden.grad_norm);
    return;
  }
  const { sample } = golden;
  const positions =
    sample === undefined
      ? Array.from(actual, (_, i) => i)
      : sampledPositions(actual.length, sample.count, sample.salt);
  const values = arrays.floats(`${sample === undefined ? 'grad' : 'sample'}.${name}`);
  expect(values).toHaveLength(positions.length);
  const differences = Float64Array.from(
    positions,
    (position, i) => (actual[position] as number) - (values[i] as number),
  );
  // A sample with less than average energy counts as average.
  const energy = Math.max(norm(values) ** 2, (expected.norm ** 2 * positions.length) / actual.length);
  expect({ name, nmse: norm(differences) ** 2 / energy <= bound(nmse) }).toEqual({ name, nmse: true });
  for (const [i, value] of expected.projections.entries())
    expect(Math.abs(projection(actual, i + 1) - value)).toBeLessThanOrEqual(
      4 * Math.sqrt(bound(nmse)) * expected.norm,
    );
}

describe('gradients of the golden data', () => {
  afterEach(closeTrainers);

  it.each(cases)('$name, computing $recompute again', async ({ name, recompute }) => {
    const golden = readGolden<GradientGolden>(`training/grad/${name}.json`);
    const arrays = new GoldenArrays(`training/grad/${name}.json`, golden);
    const trainer = await openTrainer(golden, { recompute });
    const losses = await trainer.lossAndGradients(batchOf(golden));
    for (const part of ['total', 'main', 'aux', 'z'] as const)
      expect(Math.abs(losses[part] - golden.loss[part])).toBeLessThanOrEqual(
        2e-6 * Math.abs(golden.loss[part]),
      );
    const gradients = await gradientsOf(trainer);
    expect([...gradients.keys()].sort()).toEqual(Object.keys(golden.tensors).sort());
    for (const [tensor, gradient] of gradients) expectGradient(golden, arrays, tensor, gradient);
  });

  it.each(['micro-accumulation-mean'])(
    '%s: gradients of micro-batches add up to those of the batch',
    async (name) => {
      const golden = readGolden<AccumulationGolden>(`training/grad/${name}.json`);
      const arrays = new GoldenArrays(`training/grad/${name}.json`, golden);
      const trainer = await openTrainer(golden);
      const coefficients = { mask: golden.mask, aux_coef: 0, aux_scope: golden.aux_scope, z_coef: 0 };
      const parts = golden.micro_batches.map((part) => batchOf({ ...coefficients, ...part }));
      for (const batches of [[batchOf(golden)], parts]) {
        const losses = await trainer.lossAndGradients(batches);
        expect(losses.total / golden.loss.total).toBeCloseTo(1, 5);
        for (const [tensor, gradient] of await gradientsOf(trainer)) {
          const expected = arrays.floats(`grad.${tensor}`);
          const differences = gradient.map((value, i) => value - (expected[i] as number));
          expect(norm(differences) ** 2).toBeLessThanOrEqual(1e-9 * norm(Float64Array.from(expected)) ** 2);
        }
      }
    },
  );
});
