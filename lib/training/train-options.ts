import { resolve } from 'node:path';
import {
  booleanOption,
  integerOption,
  numberOption,
  optionsObject,
  quote,
  stringOption,
  wordOption,
} from '../support/validate';
import { type Weighting, weightings } from './objective';
import { recipes } from './recipes';
import { type ResolvedSchedule, readSchedule } from './schedules';
import type { DataFiles, TrainOptions, WeightedFile } from './train-types';
import { type Optimizer, readOptimizer } from './trainer-groups';
import type { LearningRates, OptimizerOptions } from './trainer-types';

/** The options that decide a run's numbers, with all defaults, as plain JSON. */
export interface RunOptions {
  readonly model: string;
  readonly data: readonly (string | WeightedFile)[];
  readonly steps: number;
  readonly learningRate: LearningRates;
  readonly objective: 'mdlm' | 'ar';
  readonly batch: number;
  readonly microBatch: number;
  readonly sequenceLength: number;
  readonly documents: 'chunk' | 'document';
  readonly tokenBytes: 2 | 4 | null;
  readonly cache: string | null;
  /** Missing in runs of before there was a choice: f32. */
  readonly dtype?: 'f32' | 'bf16';
  readonly schedule: ResolvedSchedule;
  readonly optimizer: Pick<Optimizer, 'betas' | 'epsilon' | 'weightDecay' | 'clip'>;
  readonly weighting: Weighting;
  readonly timeSampling: 'independent' | 'stratified';
  readonly complementaryMasks: boolean;
  readonly minTime: number;
  readonly randomLength: number;
  readonly padLoss: boolean;
  readonly auxCoef: number;
  readonly auxScope: 'pooled' | 'layer';
  readonly zCoef: number;
  readonly seed: number;
  readonly evaluation: {
    readonly data: readonly (string | WeightedFile)[];
    readonly every: number;
    readonly canvases: number;
  } | null;
  readonly noiseScale: boolean;
}

/** What the defaults depend on. */
export interface ModelFacts {
  readonly folder: string;
  /** Whether a position sees those before it only. */
  readonly causal: boolean;
  readonly maxPositions: number;
  readonly maskTokenId: number | null;
  /** `router_aux_loss_coef` of config.json; null without experts. */
  readonly auxCoef: number | null;
}

/** Tokens of a micro-batch, unless its size is given. */
const microBatchTokens = 8192;

/** Checks the options of a new run and fills in defaults. `RunControl`'s are checked elsewhere. */
export function readRunOptions(options: TrainOptions, model: ModelFacts): RunOptions {
  const recipe =
    options.recipe === undefined ? undefined : recipes[wordOption('recipe', options.recipe, ['scp'])];
  const objective = wordOption(
    'objective',
    options.objective ?? recipe?.objective ?? (model.causal ? 'ar' : 'mdlm'),
    ['mdlm', 'ar'],
  );
  if (objective === 'mdlm' && model.maskTokenId === null)
    throw new TypeError(
      `objective 'mdlm' needs a mask token, which ${model.folder} has not: convert it first`,
    );
  const steps = integerOption('steps', options.steps, 1);
  const batch = integerOption('batch', options.batch ?? 64, 1);
  const { maxPositions } = model;
  const sequenceLength = integerOption(
    'sequenceLength',
    options.sequenceLength ?? Math.min(1024, maxPositions),
    2,
  );
  if (sequenceLength > maxPositions)
    throw new RangeError(
      `sequenceLength ${sequenceLength} is more than the ${maxPositions} positions of ${model.folder}`,
    );
  const noiseScale = booleanOption('noiseScale', options.noiseScale, false);
  const complementaryMasks = booleanOption('complementaryMasks', options.complementaryMasks, false);
  if (complementaryMasks && objective === 'ar')
    throw new TypeError("complementaryMasks is for the objective 'mdlm'");
  const room = complementaryMasks ? microBatchTokens / 2 : microBatchTokens;
  const microBatch = readMicroBatch(options.microBatch, room, { batch, sequenceLength, noiseScale });
  const { tokenBytes, cache, minTime = 1e-3, zCoef = 0, padLoss } = options;
  const auxDefault = model.auxCoef === null ? 0 : objective === 'ar' ? model.auxCoef : 1e-3;
  const dtype = wordOption('dtype', options.dtype ?? 'f32', ['f32', 'bf16']);
  const rates = readRates(options.learningRate, recipe?.scales ?? {});
  const { betas, epsilon, weightDecay, clip } = readOptimizer({
    ...optionsObject('optimizer', options.optimizer, optimizerNames),
    learningRate: rates,
  });
  if (tokenBytes !== undefined && tokenBytes !== 2 && tokenBytes !== 4)
    throw new RangeError(`tokenBytes must be 2 or 4, not ${quote(tokenBytes)}`);
  const smallest = numberOption('minTime', minTime, 0, 1);
  if (smallest === 0) throw new RangeError('minTime must be more than 0');
  return {
    model: resolve(stringOption('model', options.model)),
    data: readFiles('data', options.data),
    steps,
    learningRate: rates,
    objective,
    batch,
    microBatch,
    sequenceLength,
    documents: wordOption('documents', options.documents ?? 'chunk', ['chunk', 'document']),
    tokenBytes: tokenBytes ?? null,
    cache: cache === undefined ? null : resolve(stringOption('cache', cache)),
    dtype,
    schedule: readSchedule({ ...recipe?.schedule, ...options.schedule }, steps),
    optimizer: { betas, epsilon, weightDecay, clip },
    weighting: wordOption('weighting', options.weighting ?? recipe?.weighting ?? 'mean', weightings),
    timeSampling: wordOption('timeSampling', options.timeSampling ?? 'stratified', [
      'independent',
      'stratified',
    ]),
    complementaryMasks,
    minTime: smallest,
    randomLength: numberOption(
      'randomLength',
      options.randomLength ?? (objective === 'mdlm' ? 0.01 : 0),
      0,
      1,
    ),
    padLoss: booleanOption('padLoss', padLoss, true),
    auxCoef: numberOption('auxCoef', options.auxCoef ?? auxDefault, 0),
    auxScope: wordOption('auxScope', options.auxScope ?? 'layer', ['pooled', 'layer']),
    zCoef: numberOption('zCoef', zCoef, 0),
    seed: integerOption('seed', options.seed ?? 0, 0),
    evaluation: readEvaluation(options.evaluation),
    noiseScale,
  };
}

const optimizerNames: Readonly<Record<keyof Omit<OptimizerOptions, 'learningRate' | 'warmup'>, true>> = {
  betas: true,
  epsilon: true,
  weightDecay: true,
  clip: true,
};

function readMicroBatch(
  given: number | undefined,
  tokens: number,
  { batch, sequenceLength, noiseScale }: Pick<RunOptions, 'batch' | 'sequenceLength' | 'noiseScale'>,
): number {
  const most = noiseScale ? Math.max(1, Math.floor(batch / 2)) : batch;
  const fitting = Math.max(1, Math.floor(tokens / sequenceLength));
  const microBatch = Math.min(integerOption('microBatch', given ?? Math.min(fitting, most), 1), batch);
  if (noiseScale && (batch % microBatch !== 0 || batch < 2 * microBatch))
    throw new RangeError(
      `noiseScale needs two or more micro-batches of the same size: batch ${batch} and microBatch ${microBatch} give ${batch / microBatch}`,
    );
  return microBatch;
}

/** Rates by group; the recipe's multiples of `base` count where no rate is given. */
function readRates(given: number | LearningRates, scales: Readonly<Record<string, number>>): LearningRates {
  const rates: LearningRates = typeof given === 'number' ? { base: given } : given;
  // Whether these are rates at all is checked by readOptimizer.
  const base = typeof rates?.base === 'number' ? rates.base : 0;
  const scaled = Object.entries(scales).map(([group, scale]) => [group, base * scale]);
  return typeof rates === 'object' && rates !== null ? { ...Object.fromEntries(scaled), ...rates } : rates;
}

function readEvaluation(given: TrainOptions['evaluation']): RunOptions['evaluation'] {
  if (given === undefined) return null;
  const {
    data,
    every = 200,
    canvases = 64,
  } = optionsObject('evaluation', given, {
    data: true,
    every: true,
    canvases: true,
  });
  return {
    data: readFiles('evaluation.data', data),
    every: integerOption('evaluation.every', every, 1),
    canvases: integerOption('evaluation.canvases', canvases, 1),
  };
}

/** Files with absolute paths. */
export function readFiles(name: string, given: DataFiles | undefined): readonly (string | WeightedFile)[] {
  const list = typeof given === 'string' ? [given] : given;
  if (!Array.isArray(list) || list.length === 0)
    throw new TypeError(`${name} must be a file or an array of files, not ${quote(given)}`);
  return (list as readonly (string | WeightedFile)[]).map((entry, i) => {
    if (typeof entry === 'string') return resolve(entry);
    const { file, weight } = optionsObject(`${name}[${i}]`, entry, { file: true, weight: true });
    const share = numberOption(`${name}[${i}].weight`, weight, 0);
    if (share === 0) throw new RangeError(`${name}[${i}].weight must be more than 0`);
    return { file: resolve(stringOption(`${name}[${i}].file`, file)), weight: share };
  });
}
