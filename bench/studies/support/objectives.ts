import type { TrainingBatch } from '../../../lib/training';
import type { Canvas } from '../../../lib/training/data/data-set';
import { batchesOf, type Objective, type ObjectiveModel } from '../../../lib/training/objective';

/** What a gradient is of. */
export type StudyObjective = 'ar' | 'mean' | 'elbo' | 'elbo stratified' | 'elbo complementary';

const minTime = 1e-3;

/** Of nano's vocabulary. */
export const studyModel: ObjectiveModel = { predictionShift: 1, maskTokenId: 259, eosTokenIds: [258] };

const routers = { auxCoef: 1e-3, auxScope: 'layer', zCoef: 0 } as const;

/** The library's objective of that name. */
export function objectiveOf(name: StudyObjective, seed: bigint): Objective {
  return {
    kind: name === 'ar' ? 'ar' : 'mdlm',
    weighting: name.startsWith('elbo') ? 'elbo' : 'mean',
    timeSampling: name === 'elbo stratified' ? 'stratified' : 'independent',
    complementaryMasks: name === 'elbo complementary',
    minTime,
    randomLength: 0,
    padLoss: true,
    seed,
  };
}

/** How canvases are divided. */
export interface StudyStep {
  /** Number of the first canvas. */
  readonly first: number;
  /** Canvases of a batch. */
  readonly microBatch: number;
  readonly seed: bigint;
}

/** Batches whose gradients add up to that of all canvases, with their number of scored tokens. */
export interface StudyBatches {
  readonly batches: readonly TrainingBatch[];
  readonly scored: number;
}

export function studyBatches(
  name: StudyObjective,
  canvases: readonly Canvas[],
  { first, microBatch, seed }: StudyStep,
): StudyBatches {
  // As many forward passes for each: pairs are of half of the canvases.
  const copies = name === 'elbo complementary' ? 2 : 1;
  const step = {
    canvases: canvases.slice(0, canvases.length / copies),
    first,
    microBatch: microBatch / copies,
  };
  return batchesOf(step, objectiveOf(name, seed), studyModel, routers);
}

/** The same batches, alike but for chance: mask rates are spread over each, not over all. */
export function alikeBatches(
  name: StudyObjective,
  canvases: readonly Canvas[],
  step: StudyStep,
): StudyBatches {
  if (name !== 'elbo stratified') return studyBatches(name, canvases, step);
  const { first, microBatch } = step;
  const parts = Array.from({ length: canvases.length / microBatch }, (_, part) => {
    const from = part * microBatch;
    return studyBatches(name, canvases.slice(from, from + microBatch), { ...step, first: first + from });
  });
  return {
    batches: parts.flatMap(({ batches }) =>
      batches.map((batch) => ({ ...batch, weights: batch.weights.map((weight) => weight / parts.length) })),
    ),
    scored: parts.reduce((sum, { scored }) => sum + scored, 0),
  };
}
