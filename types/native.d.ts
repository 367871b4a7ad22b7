/**
 * The contract of the native addon: the one seam between TypeScript and C++.
 * Hand-written; native/napi implements it. Nothing outside lib/ should import it.
 *
 * Every asynchronous call runs on the session's own runner thread. Failures reject with an `Error`
 * whose `code` is one of the codes of `RND1Error` (lib/support/errors.ts turns it into that class), or with
 * `TypeError`/`RangeError` for arguments that break this contract.
 */

/** A dtype of weights, or a compute dtype. */
export type FloatType = 'f32' | 'f16' | 'bf16';

/** Integers, or numbers of 8 bits (fp8: e4m3), with scales, in the layouts of docs/quantization.md. */
export type QuantizedType = 'q8' | 'q5' | 'q4' | 'fp8';

/** Columns that share a scale: 64 or 32 of a row, or 128 of the 128 rows of a block of fp8. */
export type QuantizedGroup = 128 | 64 | 32;

/**
 * Formats of GGUF files that are decoded on loading, and fp8; native/checkpoint/block_types.h and native/core/fp8.h
 * describe them.
 */
export type BlockType = 'Q8_0' | 'Q4_0' | 'Q4_K' | 'Q5_0' | 'Q5_K' | 'Q6_K' | 'F8_E4M3';

/** Attention of a layer. Queries, keys and values are matmuls of the normed rows; the output is one more. */
export interface AttentionDescription {
  /** Query heads. */
  readonly heads: number;
  /** Key and value heads; each serves heads / keyValueHeads query heads. */
  readonly keyValueHeads: number;
  /** Columns of a head, even. */
  readonly headDim: number;
  /** Whether the projections of queries, keys and values have a bias. */
  readonly bias: boolean;
  /** Whether every query and key head passes an RMSNorm, before its rotation. */
  readonly headNorms: boolean;
  /** Columns of a head that are rotated, the first ones; even, at most headDim. */
  readonly rotaryWidth: number;
  /** Base of the rotary embedding's frequencies, theta^(−2i / rotaryWidth). */
  readonly ropeTheta: number;
  /** Position i sees position j if j div block ≤ i div block: 1 is causal; 0 makes all visible. */
  readonly block: number;
}

/** down(silu(gate · x) ∘ (up · x)). */
export interface DenseDescription {
  /** Every token uses all of it. */
  readonly kind: 'dense';
  /** Columns between the matmuls. */
  readonly width: number;
}

/** Which experts a row selects, and with which weights. */
export interface RouterDescription {
  /** The function of the router's logits that gives an expert's score. */
  readonly score: 'softmax' | 'sigmoid';
  /** Whether a vector is added to the scores for the selection, not for the weights. Sigmoid only. */
  readonly selectionBias: boolean;
  /** Only experts of the `kept` best of `count` groups of adjacent experts take part. Sigmoid only. */
  readonly groups: {
    /** It divides the number of experts. */
    readonly count: number;
    /** Groups by the sum of their two largest selection scores. */
    readonly kept: number;
  } | null;
  /** Divide the weights of the selected experts by their sum. */
  readonly normalise: boolean;
  /** Factor of the weights, after that. */
  readonly scale: number;
}

/** Experts of which a token uses a few, and a dense MLP beside them. */
export interface ExpertsDescription {
  /** The router selects. */
  readonly kind: 'experts';
  /** The same in all layers that have experts, as is expertsPerToken. */
  readonly experts: number;
  /** Experts that a row selects. */
  readonly expertsPerToken: number;
  /** Columns between an expert's matmuls. */
  readonly width: number;
  /** Columns between the matmuls of a dense MLP that is added; 0: none. */
  readonly sharedWidth: number;
  /** How they are selected and weighted. */
  readonly router: RouterDescription;
}

/** One layer of the residual stream: attention, then an MLP, each after a norm. */
export interface LayerDescription {
  /** Its heads, norms, rotation and mask. */
  readonly attention: AttentionDescription;
  /** A dense MLP or experts. */
  readonly mlp: DenseDescription | ExpertsDescription;
}

/** The model's graph; the TypeScript side has read and checked config.json. Numbers are positive unless said otherwise. */
export interface Architecture {
  /** In order. */
  readonly layers: readonly LayerDescription[];
  /** Width of the residual stream. */
  readonly hidden: number;
  /** Token ids are below this. */
  readonly vocabulary: number;
  /** The longest canvas. */
  readonly maxPositions: number;
  /** Added by RMSNorm to the mean square. */
  readonly rmsNormEpsilon: number;
  /** The LM head is the embedding table; the role `head` is not needed. */
  readonly tiedHead: boolean;
  /** Row i − predictionShift of the logits predicts position i. */
  readonly predictionShift: 0 | 1;
  /** With a shift: position 0 keeps its token (true), or its own row predicts it (false). */
  readonly keepsFirst: boolean;
}

/** A byte offset in one of the files, which `file` is the index of. */
export interface NativePlace {
  readonly file: number;
  readonly offset: number;
}

/** Where a tensor is stored: row-major, little-endian, from `offset` of `files[file]`. */
export interface NativeFloatTensor extends NativePlace {
  /** What the model uses it as. */
  readonly role: string;
  /** Its name in the checkpoint, for errors. */
  readonly name: string;
  /** Of its numbers in memory, and in the file unless that has `blocks`. */
  readonly dtype: FloatType;
  readonly shape: readonly number[];
  /** The format of the file, whose rows are whole blocks. @default numbers of `dtype` */
  readonly blocks?: BlockType;
  /** `'F8_E4M3'` only: where the scales of its blocks are, [rows / 128, columns / 128] rounded up, and their dtype. */
  readonly blockScales?: NativePlace & { readonly dtype: FloatType };
  /**
   * Rows n of a head, of which the file has row i and row i + n/2 side by side: 0, n/2, 1, n/2 + 1 … They become 0, 1, 2 …
   *
   * @default 0, the rows are as they should be
   */
  readonly headRows?: number;
  /** How this matrix of a matmul is quantized while it is loaded. @default as the session's `quantize` says */
  readonly quantize?: { readonly dtype: QuantizedType; readonly group: QuantizedGroup } | null;
}

/** Where a quantized weight's integers are stored, and its scales and, with q5 and q4, minimums. */
export interface NativeQuantizedTensor extends NativePlace {
  readonly role: string;
  readonly name: string;
  readonly dtype: Exclude<QuantizedType, 'fp8'>;
  /** Shape of the dequantized matrix, not of the stored bytes. */
  readonly shape: readonly number[];
  readonly group: Exclude<QuantizedGroup, 128>;
  readonly scales: NativePlace;
  readonly minimums: NativePlace | null;
}

/**
 * A weight of the model by its role. A role may be a range of rows of a stored tensor: place and shape are the range's.
 *
 * | role | shape |
 * |---|---|
 * | `embedding`, `head` | [vocabulary, hidden] |
 * | `norm` | [hidden] |
 * | `layers.N.attention.norm`, `layers.N.mlp.norm` | [hidden] |
 * | `layers.N.attention.query`, `.key`, `.value` | [(heads or keyValueHeads) · headDim, hidden] |
 * | `layers.N.attention.queryBias`, `.keyBias`, `.valueBias` | [rows of the projection] |
 * | `layers.N.attention.queryNorm`, `.keyNorm` | [headDim] |
 * | `layers.N.attention.output` | [hidden, heads · headDim] |
 * | `layers.N.mlp.gate`, `.up`; `layers.N.mlp.shared.gate`, `.up`; `layers.N.mlp.experts.E.gate`, `.up` | [width, hidden] |
 * | `layers.N.mlp.down`, `layers.N.mlp.shared.down`, `layers.N.mlp.experts.E.down` | [hidden, width] |
 * | `layers.N.mlp.router` | [experts, hidden] |
 * | `layers.N.mlp.selectionBias` | [experts] |
 *
 * Projections, MLPs and `head` may be quantized.
 */
export type NativeTensor = NativeFloatTensor | NativeQuantizedTensor;

export interface SessionDescription {
  readonly architecture: Architecture;
  /** Paths of the weight files. */
  readonly files: readonly string[];
  /** At least every tensor that the model needs; others are ignored. */
  readonly tensors: readonly NativeTensor[];
  /** Quantizes the unquantized weights of matmuls, with fp8 but for the head, while they are loaded. @default null */
  readonly quantize?: { readonly dtype: QuantizedType; readonly group: QuantizedGroup } | null;
  /** Copies the weights into the process's own memory instead of using the mapped files. @default false */
  readonly copied?: boolean;
  /** `'cpu'`, `'cuda'` or `'cuda:N'`. */
  readonly device: string;
  /** The compute dtype (see docs/architecture.md), not the dtype of the weights. */
  readonly dtype: FloatType;
  /** Compute threads, ≥ 1, the runner thread included. */
  readonly threads: number;
}

export interface SessionInfo {
  /** `'cpu'` or `'cuda:N'`. */
  readonly device: string;
  /**
   * CPU instruction set in use (`'amx'`, `'avx512bf16'`, `'avx512'`, `'avx2'`, `'neonbf16'`, `'neonf16'`, `'baseline'`),
   * or the GPU's name.
   */
  readonly instructionSet: string;
  readonly threads: number;
  readonly dtype: FloatType;
  /** Bytes of weights that are resident or mapped. */
  readonly weightBytes: number;
}

/** Called on the JavaScript thread with the bytes and tensors so far, and their totals. */
export type NativeProgress = (
  bytes: number,
  totalBytes: number,
  tensors: number,
  totalTensors: number,
) => void;

/** A flag that native code polls between layers. Aborting rejects the call with code `'aborted'`. */
export class AbortFlag {
  constructor();
  abort(): void;
  readonly aborted: boolean;
}

/** How a step scores positions and which of them it commits. The schedule computes the numbers. */
export interface StepPlan {
  /** The scored positions (`masked`) among which order and limit choose, ascending; null = all that are not editable. */
  readonly eligible: Int32Array | null;
  /**
   * Scored positions that hold a token, ascending, none of them eligible; null = none. They are committed if their
   * prediction is another token and has a probability > `editAbove`, whatever order and limit are.
   */
  readonly editable: Int32Array | null;
  /** A probability ≥ 0; compared as its logarithm in f32, like τ. */
  readonly editAbove: number;
  /** Best first: lowest entropy, highest confidence, largest margin, or by random number. Ties: lower position. */
  readonly order: 'entropy' | 'confidence' | 'margin' | 'random';
  /**
   * - `keep`: all eligible positions except the worst `value` are committed (value ≥ count: none).
   * - `gamma`: over the order, count entries with cumsum(entropy) − cummax(entropy) ≤ value; commit that many.
   * - `tau`: commit those with confidence ≥ log(value); but the best `atLeast` if there are fewer.
   */
  readonly limit: 'keep' | 'gamma' | 'tau';
  readonly value: number;
  /** With `tau`: the confidence must be > log(value). */
  readonly strict: boolean;
  /** With `tau`: an integer ≥ 0. */
  readonly atLeast: number;
  /**
   * Above 0: the order is that of key / orderTemperature + Gumbel noise, the largest first, with probability
   * (`confidence`), margin or −entropy as the key: draws without replacement from softmax(key / orderTemperature).
   * Only with limit `keep`, not with order `random`. 0 = off.
   */
  readonly orderTemperature: number;
  /** Divides the logits; values below 1e-8 count as 1e-8. */
  readonly temperature: number;
  /** Keep the k largest logits; 0 = off. */
  readonly topK: number;
  /** Keep the smallest set with this probability; applied only for 0 < topP < 1. */
  readonly topP: number;
  /**
   * false: top-k keeps exactly k tokens (ties: the lowest ids), then top-p at least two. true, as Dream does it: top-p
   * keeps at least one, then top-k all that are not below the k-th.
   */
  readonly topPFirst: boolean;
  /** Predict the argmax (ties: lowest id) instead of drawing. */
  readonly greedy: boolean;
  /** Key of the random numbers: the low 64 bits. */
  readonly seed: bigint;
  /** Counter of the random numbers, ≥ 0. */
  readonly round: number;
  /** Token ids whose logits become −∞ before everything else. */
  readonly banned: Int32Array;
  /**
   * Token ids whose logits become −∞ after the prediction, before confidence, entropy and margin. The confidence of one
   * that was predicted is −3.4028235e38.
   */
  readonly zeroed: Int32Array;
  /**
   * Take the confidence from the softmax of the logits before temperature and filters (banned and zeroed ids stay −∞).
   * Entropy and margin remain those of the distribution that is drawn from.
   */
  readonly rawConfidence: boolean;
}

/** Classifier-free guidance: with logits l of the canvas and u of another one, u + (scale + 1) · (l − u) are scored. */
export interface Guidance {
  /** Finite; 0 leaves l. */
  readonly scale: number;
  /** The other canvas, as long as the first: usually without its prompt. */
  readonly tokens: Int32Array;
}

/**
 * Keys and values of all layers at the positions of one canvas: what a pass has computed, later passes need not compute
 * again. After a pass that failed, the positions that it computed are unknown. `Session.createCache` makes it.
 */
export class KeyValueCache {
  private constructor();
  /** The longest canvas. */
  readonly positions: number;
  /** Of the backend's memory. */
  readonly bytes: number;
  /** Frees it, at the latest when no call uses it any more; using it fails with code `'disposed'`. Repeatable. */
  dispose(): void;
}

/**
 * Which rows of a canvas a pass computes. Their keys and values replace those in the cache, and they see the keys and
 * values of all positions of the canvas, as the mask allows. Every position that they see must be one of them, or
 * have been computed by an earlier pass; the tokens elsewhere have no effect.
 */
export interface CacheUse {
  /** Of this session, and in this call of this canvas only. */
  readonly store: KeyValueCache;
  /** Positions, strictly ascending, at least one, with those whose logits predict the masked positions. */
  readonly rows: Int32Array;
}

export interface StepCanvas {
  /** All tokens of the canvas, masked positions included. */
  readonly tokens: Int32Array;
  /** The positions that are scored: masked ones, and the plan's editable ones; strictly ascending, at least one. */
  readonly masked: Int32Array;
  readonly plan: StepPlan;
  /** Overrides the model's predictionShift; position 0 is then predicted by its own row. null = the model's rule. */
  readonly shift: 0 | 1 | null;
  /** Doubles the work: the other canvas is packed into the same step. null = none. */
  readonly guidance: Guidance | null;
  /** @default null, every position is computed */
  readonly cache?: CacheUse | null;
}

/** Arrays are fresh; `predicted`, `confidence` and `entropy` are aligned with the canvas's `masked`. */
export interface StepResult {
  /** Positions that were committed or edited, ascending. */
  readonly committed: Int32Array;
  readonly predicted: Int32Array;
  /** log-probability of the prediction; −3.4028235e38 at a position that keeps its token and for a zeroed prediction. */
  readonly confidence: Float32Array;
  /** In nats; 0 at a position that keeps its token. */
  readonly entropy: Float32Array;
  /** NaN or infinity was found in this canvas's logits: nothing is committed, the other arrays are meaningless. */
  readonly notFinite: boolean;
}

export interface ForwardRequest {
  readonly tokens: Int32Array;
  /** The positions to return, in any order; null = all that are computed. */
  readonly rows: Int32Array | null;
  readonly logits: boolean;
  readonly hidden: boolean;
  readonly routing: boolean;
  /** Expert ids to use instead of the router's choice, [layers with experts, tokens, expertsPerToken]; weights stay the router's own. */
  readonly forcedExperts: Int32Array | null;
  /** Block of the attention mask, instead of the layers' own; the same for all requests of a call. null = theirs. */
  readonly block: number | null;
  /** Not with forcedExperts. @default null, every position is computed */
  readonly cache?: CacheUse | null;
}

/** R = number of rows requested. */
export interface ForwardResult {
  /** [R, vocabulary] */
  readonly logits: Float32Array | null;
  /** [layers + 2, R, hidden]: after embedding, after each layer, after the final norm. */
  readonly hidden: Float32Array | null;
  /** [layers with experts, R, experts], before softmax or sigmoid. */
  readonly routerLogits: Float32Array | null;
  /** [layers with experts, R, expertsPerToken], best first. */
  readonly expertIds: Int32Array | null;
  /** [layers with experts, R, expertsPerToken]: the factors applied to the experts' outputs. */
  readonly expertWeights: Float32Array | null;
}

/** A loaded model on one device. Calls queue up and run one after another. */
export class Session {
  private constructor();
  /** Maps (CPU) or uploads (CUDA) the weights. */
  static load(
    description: SessionDescription,
    onProgress: NativeProgress | null,
    abort: AbortFlag | null,
  ): Promise<Session>;
  readonly info: SessionInfo;
  /** Bytes of the caches that are not disposed, or still used by a call. */
  readonly cacheBytes: number;
  /** Allocates a cache for a canvas of at most that many positions, between two calls. Code `'out_of_memory'`. */
  createCache(positions: number): Promise<KeyValueCache>;
  /**
   * One pass over each canvas, packed into one batch. Code `'io'`, here and from `step`: a mapped file
   * was truncated.
   */
  forward(requests: readonly ForwardRequest[], abort: AbortFlag | null): Promise<ForwardResult[]>;
  /**
   * Forward, score and unmask every canvas, packed into one batch. The canvases are not modified. `block`: of the
   * attention mask, instead of the layers' own; null = theirs.
   */
  step(canvases: readonly StepCanvas[], block: number | null, abort: AbortFlag | null): Promise<StepResult[]>;
  /**
   * Aborts the running call, rejects waiting ones with code `'disposed'`, and resolves when the weights are freed. May
   * be called repeatedly.
   */
  dispose(): Promise<void>;
}

/** One forward and backward pass: packed canvases, and the rows whose logits count. */
export interface TrainingBatch {
  /** Of all canvases, one after another; masked positions hold the mask token. */
  readonly tokens: Int32Array;
  /** Where each canvas begins, then the number of tokens. */
  readonly offsets: Int32Array;
  /** Block of the attention mask, instead of the layers' own; null = theirs. */
  readonly block: number | null;
  /** The packed rows whose logits are scored, strictly ascending. */
  readonly rows: Int32Array;
  /** The token that each of these rows should predict. */
  readonly targets: Int32Array;
  /** Factors of the cross entropies, whose sum is the main loss; final ones: nothing divides them. */
  readonly weights: Float32Array;
  /** Coefficient of the routers' loss of load balance, a mean over all rows of the batch; ≥ 0. */
  readonly auxCoef: number;
  /** Averages over all layers before it multiplies, as transformers does, or in each layer. */
  readonly auxScope: 'pooled' | 'layer';
  /** Coefficient of the routers' z-loss, a mean likewise; ≥ 0. */
  readonly zCoef: number;
}

/** Sums over the batches of a call; `aux` and `z`, without their coefficients, are weighted by numbers of rows. */
export interface TrainingLosses {
  /** main + auxCoef · aux + zCoef · z */
  readonly total: number;
  readonly main: number;
  readonly aux: number;
  readonly z: number;
  /** Of the scored rows of all batches, in nats. */
  readonly crossEntropies: Float64Array;
  /** Rows that chose an expert: [layers with experts, experts]. */
  readonly expertRows: Float64Array;
}

/** One step of AdamW. */
export interface OptimizerStep {
  /** One for each of `TrainerInfo.parameters`; ≥ 0. Those of frozen ones have no effect. */
  readonly learningRates: Float64Array;
  /** Likewise: the decay is learning rate · weight decay. */
  readonly weightDecays: Float64Array;
  /** In [0, 1). */
  readonly beta1: number;
  /** In [0, 1). */
  readonly beta2: number;
  readonly epsilon: number;
  /** From 1, for the correction of the moments' bias. */
  readonly step: number;
  /** Largest norm of all gradients together; 0 = no clipping. */
  readonly maxNorm: number;
  /**
   * Whether `StepOutcome.squaredNorms` is wanted: it takes memory for one more gradient, and the batches' gradients are
   * added up one after another, which gives other bits.
   */
  readonly batchNorms: boolean;
}

export interface StepOutcome {
  readonly losses: TrainingLosses;
  /** Of all gradients together, before clipping. */
  readonly gradientNorm: number;
  /** Factor of the gradients, at most 1. */
  readonly clipScale: number;
  /** false: the norm is not finite, and no parameter and no moment was changed. */
  readonly applied: boolean;
  /** [batches + 1, parameters]: of the gradient of each batch, and of all together; 0 for frozen ones. */
  readonly squaredNorms: Float64Array | null;
  /** Milliseconds of the forward passes. */
  readonly forward: number;
  /** Of the backward passes, with the cross entropy. */
  readonly backward: number;
  /** Of norm, clipping and AdamW. */
  readonly optimizer: number;
}

export interface TrainerDescription extends Pick<SessionDescription, 'architecture' | 'files' | 'tensors'> {
  /** `'cpu'` */
  readonly device: string;
  /** Compute threads, ≥ 1, the runner thread included. */
  readonly threads: number;
  /** Roles that are not trained: they have neither gradient nor moments. */
  readonly frozen: readonly string[];
  /**
   * Activations that the backward pass computes again instead of keeping them: none; queries, keys and values; or all
   * but the input of each layer. The results have the same bits.
   */
  readonly recompute: 'none' | 'attention' | 'layer';
  /** Of weights in products: bf16 rounds matrices but routers. */
  readonly dtype: 'f32' | 'bf16';
}

export interface TrainerInfo extends Pick<SessionInfo, 'device' | 'instructionSet' | 'threads'> {
  /** Of parameters, gradients and moments. */
  readonly bytes: number;
  readonly parameters: readonly {
    readonly role: string;
    readonly shape: readonly number[];
    readonly frozen: boolean;
  }[];
}

/** What is stored for a parameter; frozen ones have a value only. */
export type ParameterArray = 'value' | 'gradient' | 'firstMoment' | 'secondMoment';

/** A model in training, in f32. Calls queue up and run one after another. */
export class Trainer {
  private constructor();
  /**
   * Reads the weights, widened to f32. Code `'unsupported_model'` for sigmoid routers, quantized weights, and devices
   * other than the CPU.
   */
  static open(
    description: TrainerDescription,
    onProgress: NativeProgress | null,
    abort: AbortFlag | null,
  ): Promise<Trainer>;
  readonly info: TrainerInfo;
  /** The gradients of all batches together, which replace earlier ones. */
  lossAndGradients(batches: readonly TrainingBatch[], abort: AbortFlag | null): Promise<TrainingLosses>;
  /** The same losses without gradients: earlier ones stay. */
  losses(batches: readonly TrainingBatch[], abort: AbortFlag | null): Promise<TrainingLosses>;
  /** Gradients, clipping and AdamW. A step that was aborted has changed neither parameters nor moments. */
  step(batches: readonly TrainingBatch[], step: OptimizerStep, abort: AbortFlag | null): Promise<StepOutcome>;
  /** A copy. RangeError for an unknown role, and for what a frozen parameter does not have. */
  read(role: string, array: ParameterArray): Promise<Float32Array>;
  write(role: string, array: ParameterArray, values: Float32Array): Promise<void>;
  /**
   * Aborts the running call, rejects waiting ones with code `'disposed'`, and resolves when the memory is freed. May be
   * called repeatedly.
   */
  dispose(): Promise<void>;
}

/**
 * Score and unmask one canvas from given logits, [tokens.length, vocabulary]: row i − 1 predicts position i, and position
 * 0 keeps its token, unless the canvas has a `shift`. −∞ is allowed and counts as banned. Guidance must be null.
 */
export function scoreAndUnmask(
  logits: Float32Array,
  vocabulary: number,
  canvas: StepCanvas,
): Promise<StepResult>;

/** A tensor to copy or quantize into another file. */
export interface ShardTensor extends Omit<NativeFloatTensor, 'role' | 'quantize'> {
  /** Byte offset of the copy, or of the integers or numbers, in the new file. */
  readonly data: number;
  readonly quantized: {
    readonly dtype: QuantizedType;
    readonly group: QuantizedGroup;
    readonly scales: number;
    readonly minimums: number | null;
  } | null;
}

export interface ShardDescription {
  /** Paths of the source files. */
  readonly files: readonly string[];
  /** The file to fill; it exists, with its header. */
  readonly path: string;
  readonly tensors: readonly ShardTensor[];
  /** Compute threads, ≥ 1. */
  readonly threads: number;
}

/**
 * Copies and quantizes tensors into one file, with a few megabytes of memory per thread, and resolves when they are
 * on disk.
 */
export function fillShard(
  description: ShardDescription,
  onProgress: NativeProgress | null,
  abort: AbortFlag | null,
): Promise<void>;

/** Peak rates of a device. */
export interface NativePeaks {
  /** Bytes read and written by a large copy. */
  readonly copyBytesPerSecond: number;
  /** Multiply-adds in registers, counted as two, with the instructions that matmuls of the compute dtype use. */
  readonly matrixOperationsPerSecond: number;
  /** The same of bytes, for quantized weights; 0 if the device has no such instructions. */
  readonly integerOperationsPerSecond: number;
}

/** Measures for about a second times `effort`, in (0, 1], on a backend of its own. */
export function measurePeaks(description: {
  readonly device: string;
  readonly dtype: FloatType;
  readonly threads: number;
  readonly effort: number;
}): Promise<NativePeaks>;

/** Instruction sets and GPUs of a machine. */
export interface NativeSystem {
  /** CPU instruction sets this machine can run, best first. */
  readonly instructionSets: readonly string[];
  /** CPU instruction sets that the addon has kernels for, best first. */
  readonly compiledInstructionSets: readonly string[];
  /** GPUs that can be used. */
  readonly gpus: readonly {
    /** `'cuda:N'` */
    readonly device: string;
    /** As the driver reports it: `'NVIDIA H100 80GB HBM3'`. */
    readonly name: string;
    /** Total memory. */
    readonly bytes: number;
  }[];
  /** Why no GPU can be used; null if one can. */
  readonly cudaUnavailable: string | null;
}

export function system(): NativeSystem;

/** The raw generator: `out[i]` = Philox 4x32-10 word `i & 3` of counter (counter[0] + (i >> 2), counter[1..3]). */
export function philox(seed: bigint, counter: Uint32Array, count: number): Uint32Array;
