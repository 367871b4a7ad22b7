/**
 * The compute dtype; `'auto'` is the checkpoint's own dtype. `'q8'` and `'q4'` quantize the weights of products
 * to 8 or 4 bits while they are loaded (CPU only), and leave the rest in the checkpoint's own dtype; of a checkpoint that
 * is quantized already they must be what it holds, and the others name the arithmetic of what is not quantized.
 */
export type DType = 'auto' | 'f32' | 'f16' | 'bf16' | 'q8' | 'q4';

/** `'auto'` takes a GPU when one is usable and the model fits, otherwise the CPU. */
export type Device = 'auto' | 'cpu' | 'cuda' | `cuda:${number}`;

/** How far a checkpoint has come from the hub. */
export interface DownloadProgress {
  /** Bytes of all files that are on disk, those that were there before among them. */
  readonly bytes: number;
  /** Bytes of all files. */
  readonly totalBytes: number;
  /** Files that are whole. */
  readonly files: number;
  /** Files in all. */
  readonly totalFiles: number;
  /** The file this report is about, as the repository names it. */
  readonly file: string;
  /** Bytes of it that are on disk. */
  readonly fileBytes: number;
  /** `fileBytes` comes to this when the file is whole and checked. */
  readonly fileTotalBytes: number;
}

/**
 * How far loading has come. A model that must first be fetched from the hub goes through this twice: with `download`
 * until its files are on disk, then without, from the start again, as its weights become ready.
 */
export interface LoadProgress {
  /** Bytes of weights that are ready; with `download`, bytes of files. */
  readonly bytes: number;
  /** Bytes in all. */
  readonly totalBytes: number;
  /** Tensors that are ready; 0 with `download`. */
  readonly tensors: number;
  /** 0 with `download`: it is not known yet. */
  readonly totalTensors: number;
  /** Only while files are fetched from the hub. */
  readonly download?: DownloadProgress;
}

/** Which state of a model on the Hugging Face hub, and where it is kept. A folder on disk needs none of this. */
export interface HubOptions {
  /** A branch, a tag or a commit. @default 'main' */
  readonly revision?: string;
  /**
   * The folder of models, laid out as Python's huggingface_hub has it and shared with it.
   * @default HF_HUB_CACHE, else `hub` in HF_HOME, else ~/.cache/huggingface/hub
   */
  readonly cacheDir?: string;
  /** For private and gated models; null sends none. @default HF_TOKEN, else what `hf auth login` has stored */
  readonly token?: string | null;
  /** Take what is in the cache and ask nobody. @default HF_HUB_OFFLINE */
  readonly offline?: boolean;
}

/** Options of `downloadCheckpoint`. */
export interface DownloadOptions extends HubOptions {
  /** Called as files grow, some twenty times a second for each, and when one is whole. */
  readonly onProgress?: (progress: DownloadProgress) => void;
  /** What has come until it aborts is kept, and the next download goes on from there. */
  readonly signal?: AbortSignal;
}

/** Options of `RND1.load`. */
export interface LoadOptions extends HubOptions {
  /** @default 'auto' */
  readonly device?: Device;
  /** @default 'auto' */
  readonly dtype?: DType;
  /**
   * Compute threads, exactly as many as are given: more than there are cores only get in each other's way.
   * @default os.availableParallelism()
   */
  readonly threads?: number;
  /**
   * Whether the CPU uses the weights in the mapped files. They are then loaded at once, read from the disk as they are
   * needed, and shared with other processes. `false` copies them into memory of the process's own, in large pages where
   * the system has them: all of them are read first, and steps are up to a third faster. Weights that are quantized while
   * they are loaded, and a GPU's, are copies in any case. A file that is cut short while it is mapped makes all calls
   * that need the model fail with `io` on Linux, and ends the process on macOS: replace checkpoints, never edit them in
   * place.
   *
   * @default `false` where the weights in the files take at most half of `process.availableMemory()`, otherwise `true`;
   * in a container and on macOS that does not count what the file cache holds
   */
  readonly mmap?: boolean;
  /**
   * Tokens of all canvases that one step takes together at most: it bounds the memory of a step and the time that a
   * new canvas waits for its first. A canvas that is longer goes alone. @default 4096
   */
  readonly maxRowsPerStep?: number;
  /**
   * Seconds that making tokens of the texts of one call may take: a checkpoint's patterns may take for ever. Beyond it the
   * call fails with `prompt_too_expensive`. @default 5
   */
  readonly promptTimeout?: number;
  /** Called as files arrive from the hub, where they must, and as tensors become ready. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Rejects with its reason as soon as it aborts. @default none */
  readonly signal?: AbortSignal;
}

/** What `RND1.load` takes as its only argument. */
export interface LoadRequest extends LoadOptions {
  /**
   * Folder of a checkpoint, or its name on the Hugging Face hub.
   * @default the small model that comes with this package
   */
  readonly model?: string;
}

/** How a checkpoint is quantized. */
export interface QuantizeOptions {
  /** `'q8'` halves bf16 weights, `'q4'` makes them less than a third; docs/quantization.md tells what that costs. */
  readonly dtype: 'q8' | 'q4';
  /** Columns of a row that share a scale; 32 is a little more exact. @default 64 */
  readonly group?: 64 | 32;
  /** Compute threads. @default os.availableParallelism() */
  readonly threads?: number;
  /** A file that would become longer is split; an interrupted call loses no more than one. @default 2e9 */
  readonly shardBytes?: number;
  /** Called as weights are converted: bytes and tensors of the original, so far and in all. */
  readonly onProgress?: (progress: LoadProgress) => void;
  /** Rejects with its reason as soon as it aborts; what is done stays, and the next call goes on from there. @default none */
  readonly signal?: AbortSignal;
}
