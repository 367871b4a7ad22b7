import type { MaskedRow } from './draws';

/** A log-likelihood, and how sure it is. */
export interface LikelihoodEstimate {
  /** Log-likelihood of the scored tokens, in nats. */
  readonly value: number;
  /**
   * Monte-Carlo error of `value`: the spread over rounds over the root of their number; 0 for exact values, null for a
   * single round.
   */
  readonly standardError: number | null;
  /** Canvases that the model computed; equal masks are computed once. */
  readonly passes: number;
  /** The estimate of each round, whose mean is `value`; none for exact values. */
  readonly rounds: readonly number[];
}

/** Returns the cross entropies at the masked positions of each row, in their order. */
export type EntropySource = (rows: readonly (readonly number[])[]) => Promise<readonly (readonly number[])[]>;

const keyOf = (masked: readonly number[]) => [...masked].sort((a, b) => a - b).join(' ');

/** The sum of cross entropies of each row, computed once for each set of positions; and how many sets there are. */
export async function entropySums(
  rows: readonly MaskedRow[],
  source: EntropySource,
): Promise<{ sums: readonly number[]; sets: number }> {
  const sets = new Map(rows.map(({ masked }) => [keyOf(masked), masked] as const));
  const entropies = await source([...sets.values()]);
  const sums = new Map([...sets.keys()].map((key, i) => [key, sum(entropies[i] ?? [])] as const));
  return { sums: rows.map(({ masked }) => sums.get(keyOf(masked)) as number), sets: sets.size };
}

/** The estimate of rounds of masks, as LLaDA and Dream define it: sums over rates, averaged over rows. */
export async function estimateRounds(
  rounds: readonly (readonly MaskedRow[])[],
  length: number,
  source: EntropySource,
): Promise<LikelihoodEstimate> {
  const { sums, sets } = await entropySums(rounds.flat(), source);
  let next = 0;
  const values = rounds.map((rows) => {
    const parts = rows.map(({ masked, rate = masked.length / length }) => {
      const total = sums[next++] as number;
      return total === 0 ? 0 : total / rate;
    });
    return -sum(parts) / rows.length;
  });
  const value = sum(values) / values.length;
  const spread = sum(values.map((each) => (each - value) ** 2));
  const standardError = values.length < 2 ? null : Math.sqrt(spread / (values.length - 1) / values.length);
  return { value, standardError, passes: sets, rounds: values };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
