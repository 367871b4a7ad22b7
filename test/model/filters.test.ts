import { scoreAndUnmask } from '../../lib';
import { GoldenArrays, readGolden, type WithArrays } from '../support/goldens';
import { canvasOfRows } from '../support/rows';
import { entropyOf, softmaxOver } from '../support/statistics';

interface Cut {
  readonly k?: number;
  readonly p?: number;
  /** The ids that are kept, per row. */
  readonly kept: readonly (readonly number[])[];
  /** If equal values are on both sides of the cut, any `take` of `pool` are right for the reference. */
  readonly ties: readonly (null | {
    readonly sure: readonly number[];
    readonly pool: readonly number[];
    readonly take: number;
  })[];
  /** Distance of p from the nearest sum of probabilities. */
  readonly margin?: readonly (number | null)[];
}

interface FilterSet {
  readonly logits: string;
  readonly vocab: number;
  readonly rows: readonly string[];
  readonly top_k: readonly Cut[];
  readonly top_p: readonly Cut[];
  readonly top_k_then_top_p: readonly Cut[];
}

const golden = readGolden<WithArrays & { readonly sets: readonly FilterSet[] }>('pure/filters.json');
const arrays = new GoldenArrays('pure/filters.json', golden);
const cases = golden.sets.flatMap((set) =>
  [...set.top_k, ...set.top_p, ...set.top_k_then_top_p].map((cut) => ({
    vocabulary: set.vocab,
    set,
    cut,
    k: cut.k ?? null,
    p: cut.p ?? null,
  })),
);

/** Draws per row. */
const copies = 600;

/** An id with this many expected draws is missed once in a million times. */
const surelySeen = 14;

interface Row {
  readonly values: Float32Array | Float64Array;
  /** Ids that must remain, ascending. */
  readonly kept: readonly number[];
}

/** The rows of a set whose cut is certain, and the ids that remain: of equal values the lower ids, −∞ never. */
function rowsOf(set: FilterSet, cut: Cut): Row[] {
  const logits = arrays.floats(set.logits);
  const all = Array.from({ length: set.vocab }, (_, id) => id);
  // Outside these bounds the sampler applies no top-p, unlike the reference's filter called on its own.
  const off = cut.k === undefined && !((cut.p as number) > 0 && (cut.p as number) < 1);
  return set.rows.flatMap((_, row) => {
    const margin = cut.margin?.[row];
    if (!off && typeof margin === 'number' && margin < 1e-6) return [];
    const values = logits.subarray(row * set.vocab, (row + 1) * set.vocab);
    const ties = cut.ties[row] ?? null;
    const chosen = ties === null ? (cut.kept[row] as readonly number[]) : [...ties.sure, ...lowest(ties)];
    const kept = (off ? all : [...chosen]).filter((id) => values[id] !== Number.NEGATIVE_INFINITY);
    return [{ values, kept: kept.sort((a, b) => a - b) }];
  });
}

function lowest({ pool, take }: { readonly pool: readonly number[]; readonly take: number }): number[] {
  return [...pool].sort((a, b) => a - b).slice(0, take);
}

const flatten = (rows: readonly Row[]) => Float32Array.from(rows.flatMap(({ values }) => [...values]));

describe('filters keep what the golden data list', () => {
  it.each(cases)('top-k $k, top-p $p of $vocabulary tokens: scores', async ({ set, cut }) => {
    const rows = rowsOf(set, cut);
    expect(rows.length).toBeGreaterThanOrEqual(set.rows.length - 5);
    const canvas = canvasOfRows(flatten(rows), set.vocab, 1);
    const scores = await scoreAndUnmask(canvas.logits, {
      ...canvas.request,
      temperature: 1,
      topK: cut.k,
      topP: cut.p,
      greedy: true,
    });
    rows.forEach(({ values, kept }, i) => {
      const law = softmaxOver(values, kept);
      const best = law.indexOf(Math.max(...law));
      expect(scores.predicted[i]).toBe(best);
      expect(scores.confidence[i]).toBeCloseTo(Math.log(law[best] as number), 5);
      expect(scores.entropy[i]).toBeCloseTo(entropyOf(law), 5);
    });
  });

  it.each(cases)('top-k $k, top-p $p of $vocabulary tokens: draws', async ({ set, cut }) => {
    const rows = rowsOf(set, cut);
    const canvas = canvasOfRows(flatten(rows), set.vocab, copies);
    const scores = await scoreAndUnmask(canvas.logits, {
      ...canvas.request,
      temperature: 1,
      topK: cut.k,
      topP: cut.p,
      greedy: false,
      seed: 11,
    });
    rows.forEach(({ values, kept }, row) => {
      const law = softmaxOver(values, kept);
      const drawn = scores.predicted.subarray(row * copies, (row + 1) * copies);
      const seen = new Set(drawn);
      expect([...seen].filter((id) => !kept.includes(id))).toEqual([]);
      const likely = kept.filter((id) => (law[id] as number) * copies >= surelySeen);
      expect(likely.filter((id) => !seen.has(id))).toEqual([]);
      drawn.forEach((id, i) => {
        const error = (scores.confidence[row * copies + i] as number) - Math.log(law[id] as number);
        if (!(Math.abs(error) < 2e-5)) throw new Error(`the confidence of token ${id} is ${error} off`);
      });
    });
  });

  // A high temperature makes all kept ids about equally probable and does not change which ids top-k keeps.
  const small = cases.filter(({ cut }) => cut.p === undefined && (cut.k as number) <= 10);
  it.each(small)('top-k $k of $vocabulary tokens: exactly these', async ({ set, cut }) => {
    const rows = rowsOf(set, cut);
    const canvas = canvasOfRows(flatten(rows), set.vocab, copies);
    const scores = await scoreAndUnmask(canvas.logits, {
      ...canvas.request,
      temperature: 1000,
      topK: cut.k,
      greedy: false,
      seed: 12n,
    });
    rows.forEach(({ kept }, row) => {
      const seen = new Set(scores.predicted.subarray(row * copies, (row + 1) * copies));
      expect([...seen].sort((a, b) => a - b)).toEqual(kept);
    });
  });
});
