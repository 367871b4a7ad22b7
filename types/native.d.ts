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

/** Integers with scales, in the layout of docs/quantization.md. */
export type QuantizedType = 'q8' | 'q4';

/** Columns that share a scale. */
export type QuantizedGroup = 64 | 32;

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

/** Where a tensor is stored: row-major, little-endian, `shape` × `dtype` bytes from `offset` of `files[file]`. */
export interface NativeFloatTensor extends NativePlace {
  /** What the model uses it as. */
  readonly role: string;
  /** Its name in the checkpoint, for errors. */
  readonly name: string;
  readonly dtype: FloatType;
  readonly shape: readonly number[];
}

/** Where a quantized weight's integers are stored, and its scales and, with q4, minimums. */
export interface NativeQuantizedTensor extends NativePlace {
  readonly role: string;
  readonly name: string;
  readonly dtype: QuantizedType;
  /** Shape of the dequantized matrix, not of the stored bytes. */
  readonly shape: readonly number[];
  readonly group: QuantizedGroup;
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
  /** Quantizes the unquantized weights of matmuls while they are loaded. @default null */
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
   * CPU instruction set in use (`'avx512bf16'`, `'avx512'`, `'avx2'`, `'neonbf16'`, `'neonf16'`, `'baseline'`), or the
   * GPU's name.
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

/** How a step scores masked positions and which of them it commits. The schedule computes the numbers. */
export interface StepPlan {
  /** The masked positions that may be committed in this step, ascending; null = all masked ones. */
  readonly eligible: Int32Array | null;
  /** Best first: lowest entropy, highest confidence, largest margin, or by random number. Ties: lower position. */
  readonly order: 'entropy' | 'confidence' | 'margin' | 'random';
  /**
   * - `keep`: all eligible positions except the worst `value` are committed (value ≥ count: none).
   * - `gamma`: over the order, count entries with cumsum(entropy) − cummax(entropy) ≤ value; commit that many.
   * - `tau`: commit those with confidence ≥ log(value), at least one.
   */
  readonly limit: 'keep' | 'gamma' | 'tau';
  readonly value: number;
  /** Divides the logits; values below 1e-8 count as 1e-8. */
  readonly temperature: number;
  /** Keep the k largest logits; 0 = off. */
  readonly topK: number;
  /** Keep the smallest set with this probability, at least two tokens; applied only for 0 < topP < 1. */
  readonly topP: number;
  /** Predict the argmax (ties: lowest id) instead of drawing. */
  readonly greedy: boolean;
  /** Key of the random numbers: the low 64 bits. */
  readonly seed: bigint;
  /** Counter of the random numbers, ≥ 0. */
  readonly round: number;
  /** Token ids whose logits become −∞ before everything else. */
  readonly banned: Int32Array;
}

export interface StepCanvas {
  /** All tokens of the canvas, masked positions included. */
  readonly tokens: Int32Array;
  /** Masked positions, strictly ascending, at least one: those that are scored. */
  readonly masked: Int32Array;
  readonly plan: StepPlan;
}

/** Arrays are fresh; `predicted`, `confidence` and `entropy` are aligned with the canvas's `masked`. */
export interface StepResult {
  /** Positions that were committed, ascending. */
  readonly committed: Int32Array;
  readonly predicted: Int32Array;
  /** log-probability of the prediction; −3.4028235e38 at position 0. */
  readonly confidence: Float32Array;
  /** In nats; 0 at position 0. */
  readonly entropy: Float32Array;
  /** NaN or infinity was found in this canvas's logits: nothing is committed, the other arrays are meaningless. */
  readonly notFinite: boolean;
}

export interface ForwardRequest {
  readonly tokens: Int32Array;
  /** The positions to return, in any order; null = all. */
  readonly rows: Int32Array | null;
  readonly logits: boolean;
  readonly hidden: boolean;
  readonly routing: boolean;
  /** Expert ids to use instead of the router's choice, [layers with experts, tokens, expertsPerToken]; weights stay the router's own. */
  readonly forcedExperts: Int32Array | null;
  /** Block of the attention mask, instead of the layers' own; the same for all requests of a call. null = theirs. */
  readonly block: number | null;
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
  /**
   * One pass over each canvas, packed into one batch. Code `'io'`, here and from `step`: a mapped file
   * was truncated.
   */
  forward(requests: readonly ForwardRequest[], abort: AbortFlag | null): Promise<ForwardResult[]>;
  /** Forward, score and unmask every canvas, packed into one batch. The canvases are not modified. */
  step(canvases: readonly StepCanvas[], abort: AbortFlag | null): Promise<StepResult[]>;
  /**
   * Aborts the running call, rejects waiting ones with code `'disposed'`, and resolves when the weights are freed. May
   * be called repeatedly.
   */
  dispose(): Promise<void>;
}

/**
 * Score and unmask one canvas from given logits, [tokens.length, vocabulary]: row i − 1 predicts position i.
 * −∞ is allowed and counts as banned.
 */
export function scoreAndUnmask(
  logits: Float32Array,
  vocabulary: number,
  canvas: StepCanvas,
): Promise<StepResult>;

/** A tensor to copy or quantize into another file. */
export interface ShardTensor extends Omit<NativeFloatTensor, 'role'> {
  /** Byte offset of the copy, or of the integers, in the new file. */
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

/** The raw generator: `out[i]` = Philox 4x32-10 word `i & 3` of counter (counter[0] + (i >> 2), counter[1..3]). For tests. */
export function philox(seed: bigint, counter: Uint32Array, count: number): Uint32Array;
