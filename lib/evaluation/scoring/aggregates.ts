/** A mean over documents. */
export interface Estimate {
  /** The mean. */
  readonly value: number;
  /** Standard error of `value`; null for a single document. */
  readonly standardError: number | null;
  /** Number of documents. */
  readonly count: number;
}

/** Mean and standard error of scores, summed in their order, so that the last digit is the harness's. */
export function estimateMean(scores: readonly number[]): Estimate {
  const count = scores.length;
  const value = sum(scores) / count;
  if (count < 2) return { value, standardError: null, count };
  const deviation = Math.sqrt(sum(scores.map((score) => (score - value) * (score - value))) / (count - 1));
  return { value, standardError: deviation / Math.sqrt(count), count };
}

/**
 * The mean over the documents of several tasks. Its standard error is the harness's pooled one, which ignores how far
 * apart the tasks are; null if a task has only one document.
 */
export function pooledMean(parts: readonly Estimate[]): Estimate {
  const count = sum(parts.map((part) => part.count));
  const value = sum(parts.map((part) => part.value * part.count)) / count;
  if (parts.some((part) => part.standardError === null)) return { value, standardError: null, count };
  const variance =
    sum(
      parts.map(({ count: n, standardError }) => {
        const error = standardError as number;
        return (n - 1) * (error * error) * n;
      }),
    ) /
    (count - parts.length);
  return { value, standardError: Math.sqrt(variance / count), count };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
