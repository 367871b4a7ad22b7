import type { Weighting } from './objective';
import type { LearningSchedule } from './schedules';
import type { LearningRates, OptimizerOptions, TrainerOptions } from './trainer-types';

/** Files of training data; see docs/training.md for their formats. */
export type DataFiles = string | readonly (string | WeightedFile)[];

/** A file of data with its share. */
export interface WeightedFile {
  /** Its path. */
  readonly file: string;
  /** Share of the canvases that come from it, relative to the other files' weights; more than 0. */
  readonly weight: number;
}

/** What `train` needs to know. */
export interface TrainOptions extends RunControl {
  /** Folder of the unquantized checkpoint to start from. */
  readonly model: string;
  /** New or empty folder of the run: checkpoints, metrics, options. */
  readonly output: string;
  /** Training data: token files, JSONL or text. */
  readonly data: DataFiles;
  /** Steps of the optimizer. */
  readonly steps: number;
  /** Learning rate of all parameters, or by group and by tensor. */
  readonly learningRate: number | LearningRates;
  /**
   * Settings that other options override: `scp` is masked diffusion with `mean` weighting, a warm-up of 2 % of the steps,
   * a decay in the last 20 %, and a tenth of the learning rate for all but attention. The tenth is this project's choice;
   * RND1's own ratio is not published.
   *
   * @default none
   */
  readonly recipe?: 'scp';
  /** `mdlm`: masked diffusion; `ar`: autoregression. @default `mdlm` for diffusion models, `ar` for causal ones */
  readonly objective?: 'mdlm' | 'ar';
  /** Canvases of a step. @default 64 */
  readonly batch?: number;
  /** Canvases of one forward and backward pass; less takes less memory. @default so many that they have 8192 tokens */
  readonly microBatch?: number;
  /** Tokens of a canvas. @default 1024, at most the model's positions */
  readonly sequenceLength?: number;
  /** Cut documents into chunks that may span several, or give each its own canvas. @default 'chunk' */
  readonly documents?: 'chunk' | 'document';
  /** Bytes of a token in data files without header. @default the header's */
  readonly tokenBytes?: 2 | 4;
  /** Folder for tokenized text. @default beside the data */
  readonly cache?: string;
  /** See `TrainerOptions`. @default 'f32' */
  readonly dtype?: TrainerOptions['dtype'];
  /** The course of the learning rates. @default constant */
  readonly schedule?: LearningSchedule;
  /** AdamW's other options. */
  readonly optimizer?: Pick<OptimizerOptions, 'betas' | 'epsilon' | 'weightDecay' | 'clip'>;
  /** How masked positions count. @default 'mean' */
  readonly weighting?: Weighting;
  /** Mask rates of canvases independent of each other, or spread evenly over a step. @default 'stratified' */
  readonly timeSampling?: 'independent' | 'stratified';
  /**
   * Whether each canvas comes twice in a step, with a mask and with what that leaves: a step has twice the tokens, and its
   * gradient less noise than that of two masks drawn alone. Of `mdlm` only. @default false
   */
  readonly complementaryMasks?: boolean;
  /** Smallest mask rate. @default 0.001 */
  readonly minTime?: number;
  /** Share of canvases cut to a random length, so that the model knows short texts. @default 0.01 for mdlm */
  readonly randomLength?: number;
  /** Whether positions after the first end of text are learned. @default true */
  readonly padLoss?: boolean;
  /** Coefficient of the routers' load balance. @default `router_aux_loss_coef` of config.json for ar, 0.001 for mdlm */
  readonly auxCoef?: number;
  /** See `TrainingBatch`. @default 'layer' */
  readonly auxScope?: 'pooled' | 'layer';
  /** Coefficient of the routers' z-loss. @default 0 */
  readonly zCoef?: number;
  /** Of data, masks and their order; an integer. @default 0 */
  readonly seed?: number;
  /** Data for the losses that evaluation reports. @default none */
  readonly evaluation?: EvaluationOptions;
  /**
   * Whether steps report the gradient's noise scale, which takes memory for one more gradient. It compares micro-batches,
   * which stratified mask rates make unlike each other: with `timeSampling: 'independent'` it is right, else too large.
   *
   * @default false
   */
  readonly noiseScale?: boolean;
}

/** Losses on other data. */
export interface EvaluationOptions {
  /** Files as for training. */
  readonly data: DataFiles;
  /** Steps between evaluations; there is one at the end, too. @default 200 */
  readonly every?: number;
  /** The first canvases of the data, the same each time. @default 64 */
  readonly canvases?: number;
}

/** What may differ between the parts of a resumed run: it changes no number, but another device the last digits. */
export interface RunControl extends Pick<TrainerOptions, 'device' | 'threads' | 'recompute' | 'onProgress'> {
  /** Steps between checkpoints; there is one at the end, too. @default 500 */
  readonly saveEvery?: number;
  /** Newest checkpoints that are kept. @default all */
  readonly saveLimit?: number;
  /** Of the weights in checkpoints. @default 'f32' */
  readonly saveDtype?: 'f32' | 'bf16';
  /** Write no state of the optimizer: checkpoints are smaller, and the run cannot be resumed. @default false */
  readonly saveOnlyModel?: boolean;
  /** Steps between lines of metrics.jsonl. @default 1 */
  readonly logEvery?: number;
  /** Whether files for TensorBoard are written. @default true */
  readonly tensorBoard?: boolean;
  /**
   * When it aborts, the running step is dropped, a checkpoint is written, and `done` says that the run is not complete.
   *
   * @default none
   */
  readonly signal?: AbortSignal;
}

/** How to go on with a run. */
export interface ResumeOptions extends RunControl {
  /** Folder of the run. It goes on from its newest checkpoint. */
  readonly resume: string;
  /** The same data at another place. @default where it was */
  readonly data?: DataFiles;
  /** The same data for evaluation at another place. @default where it was */
  readonly evaluationData?: DataFiles;
  /** More or fewer steps than planned; needs `allowChanged` unless the schedule is constant. @default as planned */
  readonly steps?: number;
  /** Go on even if the data or options have changed that numbers depend on. @default false */
  readonly allowChanged?: boolean;
}
