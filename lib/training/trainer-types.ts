import type { Device, LoadProgress } from '../api/types';

/** Parameters that share a learning rate: projections and head norms, MLPs and experts, and so on. */
export type ParameterGroup = 'attention' | 'router' | 'mlp' | 'embedding' | 'head' | 'norm';

/** Learning rates by group; those that are not given are `base`. A rate of 0 freezes its group. */
export interface LearningRates {
  /** Of the projections of queries, keys, values and results, and of head norms. */
  readonly attention?: number;
  /** Of the routers of experts. */
  readonly router?: number;
  /** Of dense MLPs and experts. */
  readonly mlp?: number;
  /** Of the embedding, also where it is the head. */
  readonly embedding?: number;
  /** Of the LM head. */
  readonly head?: number;
  /** Of the norms of layers and the last one. */
  readonly norm?: number;
  /** Of all groups that have none of their own. */
  readonly base: number;
  /**
   * Of tensors whose whole name in the checkpoint matches a regular expression; the first one counts, before the groups.
   * A rate of 0 freezes them.
   */
  readonly tensors?: Readonly<Record<string, number>>;
}

/** AdamW with decoupled weight decay, as in PyTorch. */
export interface OptimizerOptions {
  /** Of all parameters, or by group. */
  readonly learningRate: number | LearningRates;
  /** Decay of the two moments, each at least 0 and less than 1. @default [0.9, 0.95] */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second moment. @default 1e-8 */
  readonly epsilon?: number;
  /** Of matrices, but not of the embedding. @default 0.1 */
  readonly weightDecay?: number;
  /** Largest norm of all gradients together; 0 does not clip. @default 1 */
  readonly clip?: number;
  /** Steps in which the learning rates rise linearly to their values. @default 0 */
  readonly warmup?: number;
}

/** How to open a model for training. */
export interface TrainerOptions {
  /** AdamW's options. */
  readonly optimizer: OptimizerOptions;
  /**
   * Of weights in products. `bf16`: matrices but routers are rounded for them, as in a model that is saved and served in
   * bf16, while parameters, gradients, moments and activations stay f32, so that no update is too small to count.
   *
   * @default 'f32'
   */
  readonly dtype?: 'f32' | 'bf16';
  /** Where to train: parameters, gradients and moments must fit there. @default 'cpu' */
  readonly device?: Exclude<Device, 'auto'>;
  /** Compute threads on the CPU. @default 'auto': one per physical core that this process may use */
  readonly threads?: number | 'auto';
  /**
   * Activations that are computed again instead of kept: queries, keys and values, or all but the input of each layer,
   * which takes a tenth of the memory and a third more time. The results have the same bits.
   *
   * @default 'none'
   */
  readonly recompute?: 'none' | 'attention' | 'layer';
  /** Continue with the moments and the number of steps that `save` has written into the folder. @default false */
  readonly resume?: boolean;
  /** Called while parameters are read. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** When it aborts, opening rejects with its reason. @default none */
  readonly signal?: AbortSignal;
}

/** What a trainer runs on. */
export interface TrainerInfo {
  /** The checkpoint's folder. */
  readonly folder: string;
  /** `'cpu'` or `'cuda:N'` */
  readonly device: string;
  /** CPU instruction set in use, or the GPU's name. */
  readonly instructionSet: string;
  /** Number of compute threads. */
  readonly threads: number;
  /** Bytes of parameters, gradients and moments. */
  readonly bytes: number;
}

/** Packed canvases, and the rows whose logits count. */
export interface TrainingBatch {
  /** Of all canvases, one after another; masked positions hold the mask token. */
  readonly tokens: Int32Array;
  /** Where each canvas begins, then the number of tokens. */
  readonly offsets: Int32Array;
  /** Which positions a position sees: all of its canvas, or itself and those before. @default the model's own */
  readonly mask?: 'full' | 'causal';
  /** The packed rows whose logits are scored, strictly ascending. */
  readonly rows: Int32Array;
  /** The token that each of these rows should predict. */
  readonly targets: Int32Array;
  /**
   * Factors of the cross entropies, whose sum is the loss. Final ones: those of all batches of a step come from the
   * counts of the whole step, so that batches can be divided without changing the result.
   */
  readonly weights: Float32Array;
  /** Coefficient of the routers' loss of load balance. @default 0 */
  readonly auxCoef?: number;
  /** Whether that loss averages over all layers before it multiplies, as transformers does, or in each. @default 'layer' */
  readonly auxScope?: 'pooled' | 'layer';
  /** Coefficient of the routers' z-loss. @default 0 */
  readonly zCoef?: number;
}

/** Losses of one or more batches. */
export interface TrainingLosses {
  /** What the gradients are of: main + auxCoef · aux + zCoef · z. */
  readonly total: number;
  /** Σ weight · cross entropy, in nats. */
  readonly main: number;
  /** Load balance of the routers, without its coefficient; a mean over rows, the number of experts per token if even. */
  readonly aux: number;
  /** Mean squared log-sum-exp of the routers' logits, without its coefficient. */
  readonly z: number;
  /** Cross entropies of the scored rows of each batch, in nats, without their weights. */
  readonly crossEntropies: readonly Float64Array[];
  /** For each layer with experts, how many rows chose each of them. */
  readonly expertRows: readonly ExpertRows[];
}

/** Rows that chose the experts of a layer. */
export interface ExpertRows {
  /** From 0. */
  readonly layer: number;
  /** By expert; they add up to rows · experts per token. */
  readonly rows: Float64Array;
}

/** Options of one step. */
export interface StepOptions {
  /** Factor of all learning rates, from a schedule. @default that of the warm-up */
  readonly rate?: number;
  /**
   * Whether norms of each batch's own gradient are wanted, for the noise scale: it takes memory for one more gradient.
   * The batches' gradients are added up one after another then, which gives other bits.
   *
   * @default false
   */
  readonly batchNorms?: boolean;
  /** When it aborts, the call rejects with its reason, and nothing has changed. @default none */
  readonly signal?: AbortSignal;
}

/** What a step did. */
export interface StepResult {
  /** Before the step. */
  readonly losses: TrainingLosses;
  /** Norm of all gradients together, before clipping. */
  readonly gradientNorm: number;
  /** Factor that clipping applied to the gradients, at most 1. */
  readonly clipScale: number;
  /** Factor of the learning rates. */
  readonly rate: number;
  /** false: the norm was NaN or infinite, and no parameter changed. */
  readonly applied: boolean;
  /** Time of the parts. */
  readonly milliseconds: StepTimes;
  /** If they were asked for. */
  readonly squaredNorms?: SquaredNorms;
}

/** Milliseconds of the parts of a step. */
export interface StepTimes {
  /** Forward passes of all batches. */
  readonly forward: number;
  /** Cross entropies and backward passes. */
  readonly backward: number;
  /** Norm of the gradients, clipping and AdamW. */
  readonly optimizer: number;
}

/** Squared norms of gradients before clipping, in the order of `Trainer.tensors`; 0 for frozen tensors. */
export interface SquaredNorms {
  /** Of each batch's own gradient. */
  readonly batches: readonly Float64Array[];
  /** Of the sum of all. */
  readonly whole: Float64Array;
}

/** A tensor of the checkpoint in training. */
export interface TrainedTensor {
  /** In the checkpoint. */
  readonly name: string;
  /** As in the checkpoint. */
  readonly shape: readonly number[];
  /** The group whose learning rate it has. */
  readonly group: ParameterGroup;
  /** At rate 1; 0: frozen. */
  readonly learningRate: number;
  /** 0: none. */
  readonly weightDecay: number;
}

/** A tensor's moments of AdamW, in the order of its elements. */
export interface Moments {
  /** Mean of the gradients. */
  readonly first: Float32Array;
  /** Mean of their squares. */
  readonly second: Float32Array;
}

/** How to save. */
export interface SaveOptions {
  /** Of the weights; the optimizer's moments are always f32. @default 'f32' */
  readonly dtype?: 'f32' | 'bf16';
  /** Whether moments and number of steps are saved, too. @default true */
  readonly optimizer?: boolean;
  /** Plain JSON to keep with them; `Trainer.savedState` returns it. @default {} */
  readonly state?: Readonly<Record<string, unknown>>;
  /** When it aborts, saving rejects with its reason, and no folder is left. @default none */
  readonly signal?: AbortSignal;
}
