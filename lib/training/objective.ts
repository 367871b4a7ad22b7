import type { Canvas } from './data/data-set';
import { drawMask, maskTimes, randomLength } from './masking';
import type { TrainingBatch } from './trainer-types';

/** How cross entropies are weighted; t is the mask rate of a canvas, E its positions that may be masked. */
export const weightings: readonly Weighting[] = ['mean', 'elbo', 'sequence', 'diffullama', 'cart'];

/** A weighting of masked positions: `Objective` has their formulas. */
export type Weighting = 'mean' | 'elbo' | 'sequence' | 'diffullama' | 'cart';

/** What a step predicts, and how its cross entropies count. */
export interface Objective {
  /** `mdlm`: masked tokens, given the whole canvas; `ar`: each token, given those before. */
  readonly kind: 'mdlm' | 'ar';
  /**
   * Factor of a masked position's cross entropy: 1 / number of masked positions (`mean`), 1 / (t · ΣE) (`elbo`, an upper
   * bound of nats per token), 1 / (t · E · canvases) (`sequence`), 1 / (t · number of masked positions) (`diffullama`), or
   * by the number of unmasked neighbours / ΣE (`cart`, Dream). All sums are over the whole step.
   */
  readonly weighting: Weighting;
  /** Mask rates drawn for each canvas alone, or evenly spread over a step's canvases. */
  readonly timeSampling: 'independent' | 'stratified';
  /** Whether each canvas comes twice: with its mask, and with what that leaves, at the rate 1 − t. */
  readonly complementaryMasks: boolean;
  /** Smallest mask rate, more than 0. */
  readonly minTime: number;
  /** Share of the canvases that are cut to a random length. */
  readonly randomLength: number;
  /** Whether positions after the first end of text are learned. */
  readonly padLoss: boolean;
  readonly seed: bigint;
}

/** What the objective must know of the model. */
export interface ObjectiveModel {
  /** 1: the logits of row i − 1 predict position i. */
  readonly predictionShift: 0 | 1;
  /** null for models without one, which learn `ar` alone. */
  readonly maskTokenId: number | null;
  readonly eosTokenIds: readonly number[];
}

/** Coefficients of the routers' losses. */
export type RouterCoefficients = Required<Pick<TrainingBatch, 'auxCoef' | 'auxScope' | 'zCoef'>>;

/** One canvas of a step, after masking. */
export interface MaskedCanvas {
  readonly tokens: Int32Array;
  readonly clean: Int32Array;
  /** Ascending positions that are predicted. */
  readonly positions: Int32Array;
  /** Positions that may be. */
  readonly eligible: number;
  /** Mask rate; 1 for `ar`. */
  readonly time: number;
}

/** The batches of one step, with what its losses are attributed to. */
export interface ObjectiveBatches {
  readonly batches: TrainingBatch[];
  readonly tokens: number;
  /** Positions that may be predicted. */
  readonly eligible: number;
  /** Positions that are. */
  readonly scored: number;
  /** Mask rate of every scored row, by batch. */
  readonly times: readonly Float64Array[];
}

/** How the canvases of a step are divided. */
export interface StepCanvases {
  readonly canvases: readonly Canvas[];
  /** Number of the first one in the run: it decides what is masked. */
  readonly first: number;
  /** Canvases of a batch. */
  readonly microBatch: number;
  /** Mask rates instead of drawn ones. */
  readonly times?: Float64Array;
}

/** Masks the canvases of a step and weights what is predicted, so that the batches' losses and gradients add up. */
export function batchesOf(
  step: StepCanvases,
  objective: Objective,
  model: ObjectiveModel,
  routers: RouterCoefficients,
): ObjectiveBatches {
  if (objective.kind === 'ar')
    return weighted(step.canvases.map(autoregressive), step.microBatch, objective, model, routers);
  const copies = objective.complementaryMasks ? 2 : 1;
  return weighted(maskCanvases(step, objective, model), copies * step.microBatch, objective, model, routers);
}

/** The same for canvases that are masked already. */
export function weighted(
  masked: readonly MaskedCanvas[],
  microBatch: number,
  objective: Pick<Objective, 'kind' | 'weighting'>,
  model: Pick<ObjectiveModel, 'predictionShift'>,
  routers: RouterCoefficients,
): ObjectiveBatches {
  const totals = {
    eligible: masked.reduce((sum, { eligible }) => sum + eligible, 0),
    scored: masked.reduce((sum, { positions }) => sum + positions.length, 0),
    canvases: masked.length,
  };
  const shift = objective.kind === 'ar' ? 1 : model.predictionShift;
  const groups = [];
  for (let i = 0; i < masked.length; i += microBatch) groups.push(masked.slice(i, i + microBatch));
  return {
    batches: groups.map((group) => ({
      ...pack(group, shift),
      weights: Float32Array.from(group.flatMap((canvas) => weightsOf(canvas, objective, totals))),
      mask: objective.kind === 'ar' ? 'causal' : 'full',
      ...routers,
    })),
    tokens: masked.reduce((sum, { tokens }) => sum + tokens.length, 0),
    eligible: totals.eligible,
    scored: totals.scored,
    times: groups.map((group) =>
      Float64Array.from(group.flatMap(({ positions, time }) => Array.from(positions, () => time))),
    ),
  };
}

/** All positions but the first and the prompt's. */
function autoregressive({ tokens, prompt }: Canvas): MaskedCanvas {
  const from = Math.max(1, prompt);
  const positions = Int32Array.from({ length: Math.max(0, tokens.length - from) }, (_, i) => from + i);
  return { tokens, clean: tokens, positions, eligible: positions.length, time: 1 };
}

function maskCanvases(
  { canvases, first, times: given }: StepCanvases,
  objective: Objective,
  { predictionShift, maskTokenId, eosTokenIds }: ObjectiveModel,
): MaskedCanvas[] {
  const { seed, minTime, timeSampling, padLoss, complementaryMasks } = objective;
  const times = given ?? maskTimes(seed, first, canvases.length, timeSampling, minTime);
  return canvases.flatMap(({ tokens: whole, prompt }, i) => {
    const length =
      given === undefined
        ? randomLength(seed, first + i, whole.length, objective.randomLength)
        : whole.length;
    const clean = whole.subarray(0, length);
    const from = Math.max(predictionShift, prompt);
    const end = padLoss ? length : firstEnd(clean, from, eosTokenIds);
    const time = times[i] as number;
    const eligible = Math.max(0, end - from);
    const masked = (positions: Int32Array, time: number): MaskedCanvas => {
      const tokens = clean.slice();
      for (const position of positions) tokens[position] = maskTokenId as number;
      return { tokens, clean, positions, eligible, time };
    };
    const drawn = drawMask(seed, first + i, end, time, from);
    if (!complementaryMasks) return [masked(drawn, time)];
    return [masked(drawn, time), masked(othersOf(drawn, from, eligible), 1 - time)];
  });
}

/** Those of `count` positions from `from` on that are not drawn. */
function othersOf(drawn: Int32Array, from: number, count: number): Int32Array {
  const chosen = new Set(drawn);
  return Int32Array.from({ length: count }, (_, i) => from + i).filter((position) => !chosen.has(position));
}

/** The position after the first end of text, or the length. */
function firstEnd(tokens: Int32Array, from: number, eosTokenIds: readonly number[]): number {
  const found = tokens.findIndex((token, i) => i >= from && eosTokenIds.includes(token));
  return found < 0 ? tokens.length : found + 1;
}

function pack(
  canvases: readonly MaskedCanvas[],
  shift: number,
): Pick<TrainingBatch, 'tokens' | 'offsets' | 'rows' | 'targets'> {
  const offsets = new Int32Array(canvases.length + 1);
  canvases.forEach(({ tokens }, i) => {
    offsets[i + 1] = (offsets[i] as number) + tokens.length;
  });
  const tokens = new Int32Array(offsets[canvases.length] as number);
  const scored = canvases.reduce((sum, { positions }) => sum + positions.length, 0);
  const rows = new Int32Array(scored);
  const targets = new Int32Array(scored);
  let row = 0;
  canvases.forEach((canvas, i) => {
    const start = offsets[i] as number;
    tokens.set(canvas.tokens, start);
    for (const position of canvas.positions) {
      rows[row] = start + position - shift;
      targets[row++] = canvas.clean[position] as number;
    }
  });
  return { tokens, offsets, rows, targets };
}

/** Factors of a canvas' cross entropies. */
function weightsOf(
  canvas: MaskedCanvas,
  { kind, weighting }: Pick<Objective, 'kind' | 'weighting'>,
  totals: { readonly eligible: number; readonly scored: number; readonly canvases: number },
): number[] {
  const { positions, time, eligible } = canvas;
  const all = (weight: number) => Array.from(positions, () => weight);
  if (kind === 'ar') return all(1 / totals.scored);
  switch (weighting) {
    case 'mean':
      return all(1 / totals.scored);
    case 'elbo':
      return all(1 / (time * totals.eligible));
    case 'sequence':
      return all(1 / (time * eligible * totals.canvases));
    case 'diffullama':
      return all(1 / (time * totals.scored));
    case 'cart':
      return neighbourWeights(canvas).map((weight) => weight / totals.eligible);
  }
}

/** Dream's geometric distribution of the distance of what a prediction leans on. */
const nearness = 0.3;

/** ½ Σ p (1 − p)^(|i − j| − 1) over the unmasked positions j, for each masked position i. */
function neighbourWeights({ positions, tokens }: MaskedCanvas): number[] {
  const unmasked = new Float64Array(tokens.length).fill(1);
  for (const position of positions) unmasked[position] = 0;
  const sums = new Float64Array(tokens.length);
  const sweep = (from: number, to: number, by: number) => {
    let sum = 0;
    for (let i = from; i !== to; i += by) {
      sums[i] = (sums[i] as number) + sum;
      sum = sum * (1 - nearness) + nearness * (unmasked[i] as number);
    }
  };
  sweep(0, tokens.length, 1);
  sweep(tokens.length - 1, -1, -1);
  return Array.from(positions, (position) => (sums[position] as number) / 2);
}
