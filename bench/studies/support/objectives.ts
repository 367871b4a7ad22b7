import type { TrainingBatch } from '../../../lib/training';
import type { Canvas } from '../../../lib/training/data/data-set';
import { drawMask, maskTimes } from '../../../lib/training/masking';
import {
  batchesOf,
  type MaskedCanvas,
  type Objective,
  type ObjectiveModel,
  weighted,
} from '../../../lib/training/objective';

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
  const objective = objectiveOf(name, seed);
  if (name !== 'elbo complementary')
    return batchesOf({ canvases, first, microBatch }, objective, studyModel, routers);
  const masked = canvases
    .slice(0, canvases.length / 2)
    .flatMap((canvas, i) => pairOf(canvas, first + i, seed));
  return weighted(masked, microBatch, objective, studyModel, routers);
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

/** A canvas twice: a mask, and what that leaves. */
function pairOf({ tokens: clean }: Canvas, number: number, seed: bigint): MaskedCanvas[] {
  const time = maskTimes(seed, number, 1, 'independent', minTime)[0] as number;
  const from = studyModel.predictionShift;
  const chosen = new Set(drawMask(seed, number, clean.length, time, from));
  const eligible = Array.from({ length: clean.length - from }, (_, i) => from + i);
  const masked = (positions: readonly number[], rate: number): MaskedCanvas => {
    const tokens = clean.slice();
    for (const position of positions) tokens[position] = studyModel.maskTokenId as number;
    return { tokens, clean, positions: Int32Array.from(positions), eligible: eligible.length, time: rate };
  };
  return [
    masked(
      eligible.filter((position) => chosen.has(position)),
      time,
    ),
    masked(
      eligible.filter((position) => !chosen.has(position)),
      1 - time,
    ),
  ];
}
