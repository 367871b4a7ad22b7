import { stat } from 'node:fs/promises';
import type { FloatType, Session, SessionDescription } from '../types/native';
import type {
  DownloadOptions,
  DownloadProgress,
  DType,
  LoadOptions,
  LoadProgress,
  LoadRequest,
} from './api/types';
import { isGgufPath } from './checkpoint/checkpoint-files';
import type { ModelConfig } from './checkpoint/config';
import { embeddedFolder } from './checkpoint/embedded';
import { ioError } from './checkpoint/files';
import { readCheckpoint } from './checkpoint/folder';
import { mainFormat, type Quantization, quantizedTypes } from './checkpoint/quantization';
import { checkSpecialTokens } from './checkpoint/special-tokens';
import type { Tokenizer } from './checkpoint/tokenizer/tokenizer';
import { downloadCheckpoint } from './hub/download';
import { isRepository } from './hub/repository';
import { checkHubOptions } from './hub/settings';
import { abortable } from './runtime/abort';
import { loadBinding, type Native } from './runtime/binding';
import { defaultCacheBytes } from './runtime/caches';
import { deviceOption } from './runtime/device';
import { planLoad } from './runtime/load-plan';
import { mapsByDefault } from './runtime/memory';
import { threadsOption } from './runtime/threads';
import { RND1Error } from './support/errors';
import { loadNames, loadRequestNames } from './support/option-names';
import {
  booleanOption,
  callbackOption,
  integerOption,
  numberOption,
  optionsObject,
  quote,
  signalOption,
  stringOption,
  wordOption,
} from './support/validate';

/** Checkpoint, device, dtypes and memory of a loaded model. */
export interface ModelInfo {
  /** The checkpoint's folder, or the GGUF file that was given. */
  readonly folder: string;
  /** `'cpu'` or `'cuda:N'`. */
  readonly device: string;
  /** Why `device: 'auto'` chose no GPU; null if it chose one, and for any other `device`. */
  readonly deviceReason: string | null;
  /** CPU instruction set in use, or the GPU's name. */
  readonly instructionSet: string;
  /** Number of compute threads. */
  readonly threads: number;
  /** The compute dtype. */
  readonly dtype: FloatType;
  /** The dtype of most of the weights in memory. */
  readonly weightDtype: FloatType | Quantization['dtype'];
  /** Bytes of weights that are resident or mapped. */
  readonly weightBytes: number;
  /** Most bytes of key/value caches at a time; see `LoadOptions.maxCacheBytes`. */
  readonly maxCacheBytes: number;
  /** Whether weights, except those quantized on loading, are used in the mapped files; see `LoadOptions.mmap`. */
  readonly mapped: boolean;
  /** Names of tensors in the checkpoint that the model does not use. */
  readonly unknownTensors: readonly string[];
  /** Contradictions between the files that leave no doubt about the intended value; docs/checkpoints.md lists them. */
  readonly warnings: readonly string[];
}

/** A model in memory, with the configuration from its folder. */
export interface LoadedModel {
  readonly native: Native;
  readonly session: Session;
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer | null;
  readonly info: ModelInfo;
  /** See `LoadOptions`. */
  readonly maxRowsPerStep: number | undefined;
  readonly promptTimeout: number;
}

/** Reads a checkpoint and creates a native session for it. */
export async function loadModel(
  given: string | LoadRequest | undefined,
  more?: LoadOptions,
): Promise<LoadedModel> {
  const { path, options } = readArguments(given, more);
  const place = path === undefined ? embeddedFolder : stringOption('path', path);
  const read = readLoadOptions(options);
  const {
    device,
    dtype,
    threads,
    mmap,
    maxRowsPerStep,
    maxCacheBytes,
    promptTimeout,
    onProgress,
    signal,
    hub,
    specialTokens,
  } = read;
  signal?.throwIfAborted();
  const folder = await findFolder(place, {
    ...hub,
    signal,
    onProgress: onProgress && downloadReport(onProgress),
  });
  const { config, tokenizer, manifest, selected, warnings } = await readCheckpoint(folder, {
    specialTokens,
  });
  signal?.throwIfAborted();
  const native = loadBinding();
  const plan = planLoad(folder, { config, selected }, { device, dtype }, () => native.system());
  const mapped = mmap ?? mapsByDefault(selected.bytes);
  const description: SessionDescription = {
    architecture: config.architecture,
    files: manifest.files,
    tensors: plan.tensors,
    quantize: plan.quantize && mainFormat(plan.quantize),
    copied: !mapped,
    device: plan.device,
    dtype: plan.computeDtype,
    threads,
  };
  const session = await openSession(native, description, onProgress, signal);
  const info: ModelInfo = {
    folder,
    device: session.info.device,
    deviceReason: plan.reason,
    instructionSet: session.info.instructionSet,
    threads: session.info.threads,
    dtype: session.info.dtype,
    weightDtype: plan.weights,
    weightBytes: session.info.weightBytes,
    maxCacheBytes:
      maxCacheBytes ?? defaultCacheBytes(session.info.device, session.info.weightBytes, native.system),
    mapped: mapped && session.info.device === 'cpu',
    unknownTensors: selected.unknown,
    warnings,
  };
  return { native, session, config, tokenizer, info, maxRowsPerStep, promptTimeout };
}

/** `(path, options)` or `({ model, …options })`. */
function readArguments(given: string | LoadRequest | undefined, more: LoadOptions | undefined) {
  if (typeof given !== 'object' || given === null) {
    if (given !== undefined && (more as LoadRequest | undefined)?.model !== undefined) {
      const { model } = more as LoadRequest;
      throw new TypeError(`the model is given twice: as path ${quote(given)} and as model ${quote(model)}`);
    }
    return { path: given, options: more };
  }
  if (more !== undefined) {
    throw new TypeError(
      `path must be a string, not ${quote(given)}, if options follow it; or pass all in one object`,
    );
  }
  if (!('model' in given) && ['path', 'folder', 'modelPath'].some((name) => name in given))
    throw new TypeError('the folder, or the name on the hub, must be given as `model`');
  const { model, ...options } = optionsObject('options', given, loadRequestNames);
  return { path: model === undefined ? undefined : stringOption('model', model), options };
}

function readLoadOptions(given: LoadOptions | undefined) {
  const options = optionsObject('options', given, loadNames);
  const { device = 'auto', dtype = 'auto', onProgress } = options;
  const { revision, cacheDir, token, offline } = options;
  const hub = { revision, cacheDir, token, offline };
  checkHubOptions(hub);
  callbackOption('onProgress', onProgress);
  return {
    device: deviceOption(device),
    dtype: wordOption<DType>('dtype', dtype, ['auto', 'f32', 'f16', 'bf16', ...quantizedTypes]),
    threads: threadsOption(options.threads),
    mmap: options.mmap === undefined ? undefined : booleanOption('mmap', options.mmap, true),
    maxRowsPerStep:
      options.maxRowsPerStep === undefined
        ? undefined
        : integerOption('maxRowsPerStep', options.maxRowsPerStep, 1),
    maxCacheBytes:
      options.maxCacheBytes === undefined
        ? undefined
        : integerOption('maxCacheBytes', options.maxCacheBytes, 0),
    promptTimeout: numberOption('promptTimeout', options.promptTimeout ?? 5, 0.001, 86_400),
    specialTokens:
      options.specialTokens === undefined ? undefined : checkSpecialTokens(options.specialTokens),
    onProgress,
    signal: signalOption(options.signal),
    hub,
  };
}

/** Returns the given folder if it exists on disk, otherwise the cached folder of the hub's model of this name. */
async function findFolder(place: string, options: DownloadOptions): Promise<string> {
  const expected =
    'expected the folder of a checkpoint, a GGUF file, or owner/name of a checkpoint on the hub';
  const stats = await stat(place).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw ioError(place, error);
    if (error.code === 'ENOENT' && isRepository(place)) return null;
    throw new RND1Error('io', `${quote(place)} is not a folder: ${expected}`, {
      cause: error,
    });
  });
  if (stats === null) return downloadCheckpoint(place, options).catch((error) => fail(place, error));
  if (!stats.isDirectory() && !(stats.isFile() && isGgufPath(place))) {
    const kind = stats.isFile() ? 'is a file, not a folder' : 'is not a folder';
    throw new RND1Error('io', `${quote(place)} ${kind}: ${expected}`);
  }
  return place;
}

/** If the hub does not know a name, or cannot be asked, the name may be a misspelt folder. */
function fail(place: string, error: unknown): never {
  if (
    error instanceof RND1Error &&
    ['access_denied', 'not_found', 'offline', 'network'].includes(error.code)
  ) {
    const message = `${quote(place)} is not a folder, and ${error.message}`;
    throw new RND1Error(error.code, message, { cause: error.cause });
  }
  throw error;
}

const downloadReport = (report: (progress: LoadProgress) => void) => (download: DownloadProgress) =>
  report({ bytes: download.bytes, totalBytes: download.totalBytes, tensors: 0, totalTensors: 0, download });

/** Opens the native session. If the progress callback throws, loading fails with that error. */
async function openSession(
  native: Native,
  description: SessionDescription,
  onProgress: LoadOptions['onProgress'],
  signal: AbortSignal | undefined,
): Promise<Session> {
  const flag = new native.AbortFlag();
  let thrown: { error: unknown } | null = null;
  const report =
    onProgress === undefined
      ? null
      : (bytes: number, totalBytes: number, tensors: number, totalTensors: number) => {
          if (thrown !== null || signal?.aborted) return;
          try {
            onProgress({ bytes, totalBytes, tensors, totalTensors });
          } catch (error) {
            thrown = { error };
            flag.abort();
          }
        };
  const dispose = (session: Session) => void session.dispose();
  const opening = abortable(flag, signal, () => native.Session.load(description, report, flag), dispose);
  const [outcome] = await Promise.allSettled([opening]);
  // Read again: the callback may have thrown in the meantime.
  const failure = thrown as { error: unknown } | null;
  if (failure !== null) {
    if (outcome.status === 'fulfilled') dispose(outcome.value);
    throw failure.error;
  }
  if (outcome.status === 'rejected') throw outcome.reason;
  return outcome.value;
}
