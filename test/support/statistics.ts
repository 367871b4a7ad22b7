/** A chi-square statistic and its critical value, exceeded with a probability of about 1e-6 under the law. */
export interface ChiSquare {
  readonly statistic: number;
  readonly freedom: number;
  readonly critical: number;
}

/** z of the one-sided 1e-6 tail of the normal distribution. */
const tail = 4.753;

/** Bins with fewer expected draws are pooled. */
const minExpected = 5;

/**
 * Pearson's test of drawn ids against an exact law. An id that the law excludes makes the statistic infinite.
 * With a single bin nothing else can be tested: freedom, statistic and critical value are then 0.
 */
export function chiSquare(drawn: ArrayLike<number>, law: ArrayLike<number>): ChiSquare {
  const counts = new Float64Array(law.length);
  for (let i = 0; i < drawn.length; i++) {
    const id = drawn[i] as number;
    counts[id] = (counts[id] as number) + 1;
  }
  let statistic = 0;
  let bins = 0;
  let pooledExpected = 0;
  let pooledCount = 0;
  const add = (count: number, expected: number) => {
    statistic += (count - expected) ** 2 / expected;
    bins++;
  };
  for (let id = 0; id < law.length; id++) {
    const count = counts[id] as number;
    const expected = (law[id] as number) * drawn.length;
    if (expected === 0 && count > 0) statistic = Number.POSITIVE_INFINITY;
    if (expected >= minExpected) add(count, expected);
    else {
      pooledExpected += expected;
      pooledCount += count;
    }
  }
  if (pooledExpected >= minExpected) add(pooledCount, pooledExpected);
  const freedom = Math.max(bins - 1, 0);
  if (freedom === 0)
    return { statistic: statistic === Number.POSITIVE_INFINITY ? statistic : 0, freedom, critical: 0 };
  // Wilson and Hilferty's approximation of the quantile.
  const spread = 2 / (9 * freedom);
  return { statistic, freedom, critical: freedom * (1 - spread + tail * Math.sqrt(spread)) ** 3 };
}

/** −Σ p log p in nats, with 0 log 0 = 0. */
export function entropyOf(law: ArrayLike<number>): number {
  let entropy = 0;
  for (let id = 0; id < law.length; id++) {
    const p = law[id] as number;
    if (p > 0) entropy -= p * Math.log(p);
  }
  return entropy;
}

/** The softmax of those entries of `row` that `kept` lists; 0 elsewhere. */
export function softmaxOver(row: ArrayLike<number>, kept: readonly number[], temperature = 1): Float64Array {
  const law = new Float64Array(row.length);
  const largest = Math.max(...kept.map((id) => row[id] as number));
  let sum = 0;
  for (const id of kept) {
    const weight = Math.exp(((row[id] as number) - largest) / temperature);
    law[id] = weight;
    sum += weight;
  }
  return law.map((weight) => weight / sum);
}
