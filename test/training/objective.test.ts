import { batchesOf, type MaskedCanvas, type Weighting, weighted } from '../../lib/training/objective';
import { readGolden } from '../support/goldens';
import type { GoldenBatch } from './support';

/** How a golden batch came about. */
interface GoldenObjective extends GoldenBatch {
  readonly name: string;
  readonly objective: 'mdlm' | 'ar';
  readonly weighting: Weighting;
  readonly lengths: readonly number[];
  readonly t: readonly (number | null)[];
  /** Masked positions by canvas. */
  readonly masked: readonly (readonly number[])[];
  readonly clean: readonly number[];
  /** Positions that may be masked, by canvas. */
  readonly eligible: readonly number[];
  readonly micro_batches?: readonly GoldenBatch[];
}

const names = readGolden<readonly { readonly name: string }[]>('training/grad/index.json').map(
  ({ name }) => name,
);
const accumulated = ['micro-accumulation-mean'];
const model = { predictionShift: 1 } as const;

function canvasesOf({ objective, lengths, offsets, tokens, clean, masked, t, eligible }: GoldenObjective) {
  return lengths.map((length, i): MaskedCanvas => {
    const start = offsets[i] as number;
    const own = Int32Array.from(clean.slice(start, start + length));
    const positions =
      objective === 'ar' ? Array.from({ length: length - 1 }, (_, j) => j + 1) : (masked[i] as number[]);
    return {
      tokens: Int32Array.from(tokens.slice(start, start + length)),
      clean: own,
      positions: Int32Array.from(positions),
      eligible: eligible[i] as number,
      time: t[i] ?? 1,
    };
  });
}

describe('rows, targets and weights are those of the golden batches', () => {
  test.each([...names, ...accumulated])('%s', (name) => {
    const golden = readGolden<GoldenObjective>(`training/grad/${name}.json`);
    const routers = { auxCoef: golden.aux_coef, auxScope: golden.aux_scope, zCoef: golden.z_coef };
    const microBatch = golden.micro_batches === undefined ? golden.lengths.length : 2;
    const found = weighted(
      canvasesOf(golden),
      microBatch,
      { kind: golden.objective, weighting: golden.weighting },
      model,
      routers,
    );
    const expected = golden.micro_batches ?? [golden];
    expect(found.batches).toHaveLength(expected.length);
    found.batches.forEach((batch, i) => {
      const { tokens, offsets, rows, targets, weights } = expected[i] as GoldenBatch;
      expect(Array.from(batch.tokens)).toEqual(tokens);
      expect(Array.from(batch.offsets)).toEqual(offsets);
      expect(Array.from(batch.rows)).toEqual(rows);
      expect(Array.from(batch.targets)).toEqual(targets);
      expect(Array.from(batch.weights)).toEqual(Array.from(Float32Array.from(weights)));
      expect(batch.mask).toBe(golden.mask);
    });
  });
});

const scored = (positions: readonly number[], length: number, time: number): MaskedCanvas => {
  const clean = Int32Array.from({ length }, (_, i) => 10 + i);
  const tokens = clean.slice();
  for (const position of positions) tokens[position] = 3;
  return { tokens, clean, positions: Int32Array.from(positions), eligible: length - 1, time };
};

const weightsOf = (weighting: Weighting, canvases: readonly MaskedCanvas[]) =>
  weighted(canvases, canvases.length, { kind: 'mdlm', weighting }, model, {
    auxCoef: 0,
    auxScope: 'layer',
    zCoef: 0,
  }).batches.flatMap(({ weights }) => Array.from(weights));

describe('weightings without golden data', () => {
  const canvases = [scored([1, 3, 4], 6, 0.5), scored([2], 4, 0.25)];

  test('diffullama divides by the mask rate and the number of masked positions', () => {
    expect(weightsOf('diffullama', canvases)).toEqual([0.5, 0.5, 0.5, 1]);
  });

  test("cart sums over each canvas' unmasked neighbours", () => {
    const p = 0.3;
    const expected = canvases.flatMap(({ positions, tokens }) =>
      Array.from(positions, (i) => {
        let sum = 0;
        tokens.forEach((token, j) => {
          if (token !== 3 && i !== j) sum += p * (1 - p) ** (Math.abs(i - j) - 1);
        });
        return sum / 2 / (5 + 3);
      }),
    );
    weightsOf('cart', canvases).forEach((weight, i) => {
      expect(weight).toBeCloseTo(expected[i] as number, 7);
    });
  });
});

test('a step in which nothing is masked has no rows and no NaN', () => {
  for (const weighting of ['mean', 'elbo', 'sequence', 'diffullama', 'cart'] as const)
    expect(weightsOf(weighting, [scored([], 4, 0.1)])).toEqual([]);
});

test('a model that predicts its own positions is scored there', () => {
  const { batches } = weighted(
    [scored([1, 3], 6, 0.5)],
    1,
    { kind: 'mdlm', weighting: 'mean' },
    { predictionShift: 0 },
    { auxCoef: 0, auxScope: 'layer', zCoef: 0 },
  );
  expect(Array.from(batches[0]?.rows ?? [])).toEqual([1, 3]);
  expect(Array.from(batches[0]?.targets ?? [])).toEqual([11, 13]);
});

test('complementary masks predict each position once', () => {
  const canvases = [0, 1, 2].map((i) => ({
    tokens: Int32Array.from({ length: 9 }, (_, j) => 10 * i + j),
    prompt: 0,
  }));
  const routers = { auxCoef: 0, auxScope: 'layer', zCoef: 0 } as const;
  const objective = {
    kind: 'mdlm',
    weighting: 'elbo',
    timeSampling: 'stratified',
    minTime: 1e-3,
    randomLength: 0,
    padLoss: true,
    seed: 3n,
  } as const;
  const masking = { predictionShift: 1, maskTokenId: 99, eosTokenIds: [] } as const;
  const step = { canvases, first: 6, microBatch: 1 };
  const once = batchesOf(step, { ...objective, complementaryMasks: false }, masking, routers);
  const twice = batchesOf(step, { ...objective, complementaryMasks: true }, masking, routers);
  expect([twice.tokens, twice.eligible, twice.scored]).toEqual([2 * once.tokens, 2 * once.eligible, 3 * 8]);
  expect(twice.batches).toHaveLength(3);
  for (const [i, { offsets, targets, tokens, rows, weights = [] }] of twice.batches.entries()) {
    expect([...offsets]).toEqual([0, 9, 18]);
    expect([...targets].sort((a, b) => a - b)).toEqual([...(canvases[i]?.tokens ?? [])].slice(1));
    expect([...rows].map((row) => tokens[row + 1])).toEqual([...rows].map(() => 99));
    const first = once.batches[i];
    const count = first?.targets.length ?? 0;
    expect([...targets].slice(0, count)).toEqual([...(first?.targets ?? [])]);
    const times = [...(twice.times[i] ?? [])];
    expect(times.map((time, j) => (j < count ? time : 1 - time))).toEqual(
      times.map(() => expect.closeTo(once.times[i]?.[0] ?? times[0] ?? 0, 12)),
    );
    expect([...weights]).toEqual(times.map((time) => expect.closeTo(1 / (time * 48), 5)));
  }
});
