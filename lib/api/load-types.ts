/**
 * The compute dtype; `'auto'` is the checkpoint's own dtype. `'q8'`, `'q5'` and `'q4'` quantize the weights of matmuls to
 * 8, 5 or 4 bits while they are loaded and compute everything else in the checkpoint's own dtype; `'q5m'` and `'q4m'` take
 * 8 bits for attention and the head, 5 or 4 for the rest. For a checkpoint that is already quantized, these must match it;
 * the other values set the compute dtype of the rest. For a GGUF file with weights in blocks, `'auto'` keeps their
 * precision as q8, q5 or q4, and computes the rest in bf16; the other values decode them first (docs/gguf.md). `'fp8'` is
 * for GPUs: weights of 8 bits in floating point. A checkpoint that is in fp8 stays so on a GPU; on a CPU, and by other
 * values, it is decoded first.
 */
export type DType = 'auto' | 'f32' | 'f16' | 'bf16' | 'q8' | 'q5m' | 'q5' | 'q4m' | 'q4' | 'fp8';

/** `'auto'` uses a GPU if one is usable and the model fits, otherwise the CPU. */
export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

/** Progress of a download from the hub. */
export interface DownloadProgress {
  /** Bytes of all files that are on disk, including those downloaded earlier. */
  readonly bytes: number;
  /** Total size of all files in bytes. */
  readonly totalBytes: number;
  /** Number of complete files. */
  readonly files: number;
  /** Number of files. */
  readonly totalFiles: number;
  /** The file this report is about, as named in the repository. */
  readonly file: string;
  /** Bytes of `file` that are on disk. */
  readonly fileBytes: number;
  /** Size of `file`, which `fileBytes` reaches when the file is complete and verified. */
  readonly fileTotalBytes: number;
}

/**
 * Progress of loading. A model that must first be downloaded has two phases: with `download` until its files are on
 * disk, then without, starting at 0 again, while its weights become ready.
 */
export interface LoadProgress {
  /** Bytes of weights that are ready; with `download`, bytes of files. */
  readonly bytes: number;
  /** Total bytes of weights; with `download`, of files. */
  readonly totalBytes: number;
  /** Number of tensors that are ready; 0 with `download`. */
  readonly tensors: number;
  /** Number of tensors; 0 with `download`, because it is not known yet. */
  readonly totalTensors: number;
  /** Present only while files are fetched from the hub. */
  readonly download?: DownloadProgress;
}

/** Revision of a model on the Hugging Face hub, its cache and its access. Not used for a checkpoint folder. */
export interface HubOptions {
  /** A branch, a tag or a commit. @default 'main' */
  readonly revision?: string;
  /**
   * The cache folder, in the layout of Python's huggingface_hub and shared with it.
   * @default HF_HUB_CACHE, else `hub` in HF_HOME, else ~/.cache/huggingface/hub
   */
  readonly cacheDir?: string;
  /** For private and gated models; null sends none. @default HF_TOKEN, else the token stored by `hf auth login` */
  readonly token?: string | null;
  /** Use the cache only, without network access. @default HF_HUB_OFFLINE */
  readonly offline?: boolean;
}

/** Options of `downloadCheckpoint`. */
export interface DownloadOptions extends HubOptions {
  /** Called about twenty times a second for each growing file, and when a file is complete. */
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** Aborts the download; the bytes received so far are kept, and the next download resumes. */
  readonly signal?: AbortSignal;
}

/** Special tokens of a model, by id; null = none. What is not given comes from the checkpoint's files. */
export interface SpecialTokenIds {
  /** The token of masked positions. @default generation_config.json, config.json, the tokenizer, the family's own */
  readonly mask?: number | null;
  /** All tokens that end a text. @default likewise */
  readonly eos?: number | readonly number[] | null;
  /** The token of the reserved slot at the end of a canvas. @default likewise */
  readonly pad?: number | null;
  /** The first token of an unprompted canvas. @default likewise */
  readonly bos?: number | null;
}

/** Options of `DiffusionLM.load`. */
export interface LoadOptions extends HubOptions {
  /** @default 'auto' */
  readonly device?: Device;
  /** @default 'auto' */
  readonly dtype?: DType;
  /**
   * Compute threads, exactly this many: more threads than cores slow each other down. `'auto'`: one per physical core
   * that this process may use, by its affinity and the limits of its control groups.
   * @default 'auto'
   */
  readonly threads?: number | 'auto';
  /**
   * Whether the CPU uses the weights directly from the mapped files. Loading is then immediate; weights are read from
   * disk when first used and shared with other processes. `false` copies them into the process's own memory, in large
   * pages if the system has them: all are read first, and steps are up to a third faster. Weights that are quantized
   * while they are loaded, and weights on a GPU, are always copies. A file that is truncated while it is mapped makes
   * all calls that need the model fail with `io` on Linux, and ends the process on macOS: replace checkpoints, never
   * edit them in place.
   *
   * @default `false` if the weights in the files take at most half of `process.availableMemory()`, otherwise `true`;
   * in a container and on macOS memory used by the file cache does not count as available
   */
  readonly mmap?: boolean;
  /**
   * Maximum number of tokens of all canvases in one step: bounds the memory of a step and the time that a new canvas
   * waits for its first step. A longer canvas runs alone. @default 4096
   */
  readonly maxRowsPerStep?: number;
  /**
   * Most bytes of key/value caches (`SamplingOptions.cache`), those of concurrent runs and those that finished ones have
   * left for texts that begin alike; 0: none. A run whose cache does not fit computes every step completely, with the same
   * results.
   * @default a quarter of `process.availableMemory()` after loading; on a GPU, of its memory without the weights
   */
  readonly maxCacheBytes?: number;
  /**
   * Time limit in seconds for tokenizing the texts of one call, because a checkpoint's regular expressions may run for
   * ever. Beyond it the call fails with `prompt_too_expensive`. @default 5
   */
  readonly promptTimeout?: number;
  /** Special tokens to use instead of those that the checkpoint's files name. */
  readonly specialTokens?: SpecialTokenIds;
  /** Called while files are downloaded from the hub, if any must be, and as tensors become ready. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** When it aborts, the call rejects at once with its reason. @default none */
  readonly signal?: AbortSignal;
}

/** The argument of `DiffusionLM.load` if it is called with a single object. */
export interface LoadRequest extends LoadOptions {
  /**
   * Folder of a checkpoint, a GGUF file, or a name on the Hugging Face hub.
   * @default the small model included in this package
   */
  readonly model?: string;
}

/** Options of `quantizeCheckpoint`. */
export interface QuantizeOptions {
  /**
   * `'q8'` halves bf16 weights, `'q5'` makes them about a third and `'q4'` less; `'q5m'` and `'q4m'` do so but for
   * attention and the head, which they have in q8; docs/quantization.md lists the cost. `'fp8'` halves them for GPUs, in
   * the format of FP8 checkpoints that other programs read too.
   */
  readonly dtype: 'q8' | 'q5m' | 'q5' | 'q4m' | 'q4' | 'fp8';
  /**
   * Columns of a row that share a scale; 32 is slightly more accurate. Not for fp8, whose blocks are 128 × 128.
   * @default 64; 32 for a GGUF file with weights in blocks
   */
  readonly group?: 64 | 32;
  /** Compute threads, as in `LoadOptions`. @default 'auto' */
  readonly threads?: number | 'auto';
  /** A file that would become longer is split; an interrupted call loses at most one file. @default 2e9 */
  readonly shardBytes?: number;
  /** Called as weights are converted, with bytes and tensors of the original checkpoint. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** When it aborts, the call rejects at once with its reason; the next call resumes. @default none */
  readonly signal?: AbortSignal;
}
