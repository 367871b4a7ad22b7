import type { ObjectiveBatches } from './objective';

/** What the cross entropies of scored rows say. */
export interface ScoredLosses {
  /** Mean cross entropy in nats; null if nothing was scored. */
  readonly mean: number | null;
  /** Σ cross entropy / t over the positions that may be masked: an upper bound of nats per token. */
  readonly elbo: number | null;
  /** Mean cross entropy by mask rate, in ten bins; null where nothing was scored. */
  readonly byTime: readonly (number | null)[];
}

const bins = 10;

/** @param crossEntropies of the scored rows of each batch, in nats */
export function scoredLosses(
  { times, eligible, scored }: ObjectiveBatches,
  crossEntropies: readonly Float64Array[],
): ScoredLosses {
  const sums = new Float64Array(bins);
  const counts = new Float64Array(bins);
  let sum = 0;
  let bound = 0;
  crossEntropies.forEach((batch, b) => {
    const rates = times[b] as Float64Array;
    for (let i = 0; i < batch.length; i++) {
      const loss = batch[i] as number;
      const time = rates[i] as number;
      const bin = Math.min(bins - 1, Math.floor(time * bins));
      sums[bin] = (sums[bin] as number) + loss;
      counts[bin] = (counts[bin] as number) + 1;
      sum += loss;
      bound += loss / time;
    }
  });
  return {
    mean: scored === 0 ? null : sum / scored,
    elbo: scored === 0 ? null : bound / eligible,
    byTime: Array.from(sums, (total, i) => (counts[i] === 0 ? null : total / (counts[i] as number))),
  };
}
