import type { ExpertLoad, NoiseScale, TrainStep } from './events';
import { type GroupNorms, type NoiseState, nextNoise } from './noise-scale';
import type { ObjectiveBatches } from './objective';
import { scoredLosses } from './step-losses';
import type { RunOptions } from './train-options';
import type { ParameterGroup, StepResult, TrainedTensor } from './trainer-types';

/** What a step's report is made of. */
export interface StepFacts {
  readonly result: StepResult;
  readonly batches: ObjectiveBatches;
  readonly options: RunOptions;
  readonly tensors: readonly TrainedTensor[];
  /** Steps done with this one, tokens likewise. */
  readonly step: number;
  readonly tokens: number;
  readonly epoch: number;
  /** Milliseconds of data, and since the last step. */
  readonly dataTime: number;
  readonly time: number;
  readonly noise: NoiseScale | null;
}

/** The event of a step. */
export function stepEvent(facts: StepFacts): TrainStep {
  const { result, batches, options, tensors, step, tokens, epoch, dataTime, time, noise } = facts;
  const { losses, gradientNorm, clipScale, applied, rate, milliseconds } = result;
  const scored = scoredLosses(batches, losses.crossEntropies);
  const masked = options.objective === 'mdlm';
  return {
    type: 'step',
    step,
    steps: options.steps,
    epoch,
    tokens,
    loss: losses.total,
    maskedCrossEntropy: scored.mean,
    elbo: masked ? scored.elbo : null,
    lossByTime: masked ? scored.byTime : [],
    aux: losses.aux,
    z: losses.z,
    gradientNorm,
    clipped: clipScale < 1,
    applied,
    learningRate: options.learningRate.base * rate,
    learningRates: ratesOf(tensors, rate),
    expertLoad: expertLoads(losses.expertRows),
    tokensPerSecond: (batches.tokens / time) * 1000,
    milliseconds: { data: dataTime, ...milliseconds, total: time },
    memoryBytes: process.memoryUsage.rss(),
    ...(noise === null ? {} : { noiseScale: noise }),
  };
}

/** The largest rate of each group that is trained. */
function ratesOf(tensors: readonly TrainedTensor[], rate: number): TrainStep['learningRates'] {
  const rates: Partial<Record<ParameterGroup, number>> = {};
  for (const { group, learningRate } of tensors)
    if (learningRate > 0) rates[group] = Math.max(rates[group] ?? 0, learningRate * rate);
  return rates;
}

/** Each expert's rows as multiples of an even share. */
export function expertShares(rows: ArrayLike<number>): number[] {
  const list = Array.from(rows);
  const even = list.reduce((sum, each) => sum + each, 0) / list.length;
  return list.map((each) => (even === 0 ? 1 : each / even));
}

function expertLoads(
  layers: readonly { readonly layer: number; readonly rows: Float64Array }[],
): ExpertLoad[] {
  return layers.map(({ layer, rows }) => {
    const shares = expertShares(rows);
    return { layer, min: Math.min(...shares), max: Math.max(...shares) };
  });
}

/** The averages of the noise scale after a step that was asked for its gradients' norms. */
export function noiseAfter(
  state: NoiseState,
  { squaredNorms, applied }: StepResult,
  tensors: readonly TrainedTensor[],
  microBatch: number,
): NoiseState {
  // Norms that are not finite would stay in the averages for good.
  if (squaredNorms === undefined || !applied) return state;
  const { batches, whole } = squaredNorms;
  const norms: Record<string, GroupNorms> = {};
  const groups = ['all', ...new Set(tensors.map(({ group }) => group))];
  for (const group of groups) {
    const sum = (squares: Float64Array) =>
      squares.reduce(
        (total, each, i) => (group === 'all' || tensors[i]?.group === group ? total + each : total),
        0,
      );
    norms[group] = { parts: batches.map(sum), whole: sum(whole) };
  }
  return nextNoise(state, norms, microBatch);
}
