import { scoreAndUnmask } from '../../lib';
import { GoldenArrays, readGolden, type WithArrays } from '../support/goldens';
import { canvasOfRows } from '../support/rows';
import { chiSquare, entropyOf } from '../support/statistics';

interface Combination {
  readonly name: string;
  readonly temperature: number;
  readonly top_k: number | null;
  readonly top_p: number | null;
  readonly probs: string;
}

interface Categorical extends WithArrays {
  readonly vocab: number;
  readonly rows: number;
  readonly combos: readonly Combination[];
}

const golden = readGolden<Categorical>('pure/categorical.json');
const arrays = new GoldenArrays('pure/categorical.json', golden);
const copies = 4000;

/** Scores of `copies` draws per row, which differ in position, round or seed. */
async function drawsOf({ temperature, top_k, top_p }: Combination) {
  const canvas = canvasOfRows(arrays.floats('logits'), golden.vocab, copies / 4);
  const keys = [
    { seed: 1, round: 1 },
    { seed: 1, round: 2 },
    { seed: 2, round: 1 },
    { seed: 2n ** 40n, round: 1 },
  ];
  const scores = await Promise.all(
    keys.map((key) =>
      scoreAndUnmask(canvas.logits, {
        ...canvas.request,
        ...key,
        temperature: Math.max(temperature, 1e-8),
        topK: top_k,
        topP: top_p,
        greedy: false,
      }),
    ),
  );
  const ofRow = (row: number) => [(row * copies) / 4, ((row + 1) * copies) / 4] as const;
  return Array.from({ length: golden.rows }, (_, row) => ({
    predicted: scores.flatMap(({ predicted }) => [...predicted.subarray(...ofRow(row))]),
    confidence: scores.flatMap(({ confidence }) => [...confidence.subarray(...ofRow(row))]),
    entropy: scores.flatMap(({ entropy }) => [...entropy.subarray(...ofRow(row))]),
  }));
}

function lawOf({ probs }: Combination, row: number): Float64Array {
  return Float64Array.from(arrays.floats(probs)).subarray(row * golden.vocab, (row + 1) * golden.vocab);
}

describe('draws follow the exact law', () => {
  it.each(golden.combos)('$name', async (combination) => {
    const rows = await drawsOf(combination);
    rows.forEach(({ predicted, confidence, entropy }, row) => {
      const law = lawOf(combination, row);
      const { statistic, critical } = chiSquare(predicted, law);
      expect(statistic).toBeLessThanOrEqual(critical);
      const exact = entropyOf(law);
      for (const value of entropy)
        if (!(Math.abs(value - exact) < 1e-5)) throw new Error(`entropy ${value}, not ${exact}`);
      predicted.forEach((id, i) => {
        const error = (confidence[i] as number) - Math.log(law[id] as number);
        // At low temperatures the f32 quotient of a large logit has itself an error of about 1e-4.
        if (!(Math.abs(error) < 1e-3)) throw new Error(`the confidence of token ${id} is ${error} off`);
      });
    });
  });

  it('and no other: the test distinguishes neighbouring settings', async () => {
    const combination = (name: string) => golden.combos.find((c) => c.name === name) as Combination;
    const pairs = [
      ['t1', 't0.7'],
      ['t1', 't1.5'],
      ['t1-topk5', 't1-topk5-topp0.8'],
      ['t0.7-topk5-topp0.8', 't1-topk5-topp0.8'],
    ] as const;
    for (const [drawn, law] of pairs) {
      const rows = await drawsOf(combination(drawn));
      const excess = rows.map(({ predicted }, row) => {
        const { statistic, critical } = chiSquare(predicted, lawOf(combination(law), row));
        return critical === 0 ? 0 : statistic / critical;
      });
      expect(Math.max(...excess)).toBeGreaterThan(2);
    }
  });
});
