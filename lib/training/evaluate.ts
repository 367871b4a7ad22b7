import type { Canvas } from './data/data-set';
import type { TrainEvaluation } from './events';
import { batchesOf, type Objective, type ObjectiveModel } from './objective';
import { scoredLosses } from './step-losses';
import type { Trainer } from './trainer';

/**
 * Losses of canvases, which are the same for the same canvases at any time: mask rates are spread evenly, masks are drawn
 * by the number of the canvas.
 */
export async function evaluate(
  trainer: Trainer,
  canvases: readonly Canvas[],
  objective: Objective,
  model: ObjectiveModel,
  { microBatch, signal }: { readonly microBatch: number; readonly signal?: AbortSignal },
): Promise<Pick<TrainEvaluation, 'loss' | 'maskedCrossEntropy' | 'lossByTime'>> {
  const { minTime } = objective;
  const times = Float64Array.from(
    canvases,
    (_, i) => minTime + ((1 - minTime) * (i + 0.5)) / canvases.length,
  );
  const batches = batchesOf(
    { canvases, first: 0, microBatch, times },
    { ...objective, seed: 0n, weighting: 'mean', complementaryMasks: false },
    model,
    { auxCoef: 0, auxScope: 'layer', zCoef: 0 },
  );
  const { crossEntropies } = await trainer.losses(batches.batches, { signal });
  const { mean, elbo, byTime } = scoredLosses(batches, crossEntropies);
  const masked = objective.kind === 'mdlm';
  return {
    maskedCrossEntropy: mean ?? 0,
    loss: (masked ? elbo : mean) ?? 0,
    lossByTime: masked ? byTime : [],
  };
}
