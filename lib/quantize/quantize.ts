import { createHash } from 'node:crypto';
import { realpath, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { LoadProgress, QuantizeOptions } from '../api/types';
import type { CheckpointFiles } from '../checkpoint/checkpoint-files';
import type { ModelConfig } from '../checkpoint/config';
import { pythonJson } from '../checkpoint/files';
import { readCheckpoint } from '../checkpoint/folder';
import type { Manifest } from '../checkpoint/manifest';
import {
  checkPanels,
  formatMetadata,
  formatOf,
  type Quantization,
  quantizationConfig,
  quantizationOf,
  quantizedTypes,
} from '../checkpoint/quantization';
import type { SelectedTensors } from '../checkpoint/tensors';
import { companionFiles } from '../checkpoint/writing';
import { familyNamed } from '../families';
import { storedName } from '../families/names';
import { abortable } from '../runtime/abort';
import { loadBinding } from '../runtime/binding';
import { groupFor } from '../runtime/compute-dtype';
import { threadsOption } from '../runtime/threads';
import { RND1Error } from '../support/errors';
import { quantizeNames } from '../support/option-names';
import {
  integerOption,
  optionsObject,
  quote,
  signalOption,
  stringOption,
  wordOption,
} from '../support/validate';
import { layoutShards, type ShardLayout } from './layout';
import { checkRoom, OutputFolder } from './output';

/** Result of `quantizeCheckpoint`. */
export interface QuantizeReport {
  /** The new checkpoint's folder. */
  readonly folder: string;
  /** Type of the quantized weights. */
  readonly dtype: Quantization['dtype'];
  /** Columns of a row that share a scale. */
  readonly group: Quantization['group'];
  /** Bytes of the weight files. */
  readonly bytes: number;
  /** Bytes of the source tensors. */
  readonly sourceBytes: number;
  /** Weight files of the new checkpoint. */
  readonly files: number;
  /** Weight files that an earlier, interrupted run had completed. */
  readonly resumed: number;
  /** Contradictions between the files that were read; docs/checkpoints.md lists them. */
  readonly warnings: readonly string[];
}

/**
 * Writes a quantized copy of a checkpoint of any size, with a few megabytes of memory per thread. After an interruption
 * the same call resumes with the first incomplete file. The output cannot be loaded until the conversion is complete.
 *
 * @param input folder of an unquantized checkpoint, or a GGUF file
 * @param output a new or empty folder, or that of an interrupted call with the same input and options
 * @throws RND1Error `invalid_checkpoint`, `unsupported_model`, `io`
 */
export async function quantizeCheckpoint(
  input: string,
  output: string,
  options: QuantizeOptions,
): Promise<QuantizeReport> {
  stringOption('input', input);
  stringOption('output', output);
  const { dtype, group, threads, shardBytes, onProgress, signal } = readOptions(options);
  signal?.throwIfAborted();
  if ((await canonical(input)) === (await canonical(output))) {
    throw new RangeError(`output must be another folder than the input ${quote(input)}`);
  }
  const { files, config, manifest, selected, warnings } = await readCheckpoint(input);
  const quantization = quantizationOf(dtype, group ?? groupFor(selected));
  const sources = quantizable(input, config, manifest, selected, quantization);
  const shards = layoutShards(sources, quantization, shardBytes);

  const folder = await OutputFolder.examine(
    output,
    await identify(manifest, config, quantization, shardBytes),
  );
  const done = new Set<ShardLayout>();
  for (const shard of shards) if (await folder.has(shard)) done.add(shard);
  const missing = shards.filter((shard) => !done.has(shard));
  await checkRoom(
    output,
    sum(missing, (shard) => shard.bytes),
  );
  signal?.throwIfAborted();

  await folder.begin();
  const progress = new Progress(shards, onProgress);
  for (const shard of shards) {
    if (!done.has(shard)) {
      await folder.write(shard.name, shard.header, (path) =>
        fill(path, manifest.files, shard, threads, progress.ofNext(), signal),
      );
    }
    progress.add(shard);
  }
  const written = quantizationConfig(quantization, unconverted(sources, quantization));
  const raw = { ...config.raw, quantization_config: written };
  await writeCompanions(folder, files, raw, formatMetadata(quantization), shards, signal);
  await folder.finish();
  return {
    folder: output,
    ...quantization,
    bytes: sum(shards, (shard) => shard.bytes),
    sourceBytes: sum(shards, (shard) => shard.sourceBytes),
    files: shards.length,
    resumed: done.size,
    warnings,
  };
}

function readOptions(given: QuantizeOptions) {
  const options = optionsObject('options', given, quantizeNames);
  const { dtype, group, shardBytes = 2e9, onProgress } = options;
  if (group !== undefined && group !== 64 && group !== 32)
    throw new RangeError(`group must be 64 or 32, not ${quote(group)}`);
  if (group !== undefined && dtype === 'fp8')
    throw new RangeError('group is not for fp8, whose blocks are 128 × 128');
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw new TypeError(`onProgress must be a function, not ${quote(onProgress)}`);
  }
  return {
    dtype: wordOption<Quantization['dtype']>('dtype', dtype, quantizedTypes),
    group,
    threads: threadsOption(options.threads),
    shardBytes: integerOption('shardBytes', shardBytes, 1),
    onProgress,
    signal: signalOption(options.signal),
  };
}

/** The path with symbolic links resolved, if it exists. */
async function canonical(path: string): Promise<string> {
  return realpath(path).catch(() => resolve(path));
}

/** The tensors of a checkpoint that can be quantized, by the names of the family. */
function quantizable(
  folder: string,
  config: ModelConfig,
  { names: named }: Manifest,
  { stored }: SelectedTensors,
  quantization: Quantization,
): SelectedTensors['stored'] {
  // What is in fp8 is decoded, and can be made smaller.
  if (config.quantization !== null && (config.quantization.dtype !== 'fp8' || quantization.dtype === 'fp8')) {
    throw new RND1Error(
      'unsupported_model',
      `${folder} is ${config.quantization.dtype} already: quantize the original checkpoint`,
    );
  }
  for (const { name, matmul, parts } of stored) {
    const rows = parts.map(({ shape: [count = 0] }) => count);
    const format = formatOf(quantization, { matmul, role: parts[0]?.role });
    if (format !== null) checkPanels(folder, name, rows, format);
  }
  const { names } = familyNamed(config.family);
  // In GGUF files a tensor has one role, and other names.
  return named === undefined
    ? stored
    : stored.map((tensor) => ({ ...tensor, name: storedName(names, tensor.parts[0]?.role ?? '') }));
}

/** The modules whose matrices stay as they are, without embeddings, which are no matmuls. */
function unconverted(sources: SelectedTensors['stored'], quantization: Quantization): string[] {
  return sources
    .filter(({ shape, parts, matmul }) => {
      const role = parts[0]?.role;
      return shape.length === 2 && role !== 'embedding' && formatOf(quantization, { matmul, role }) === null;
    })
    .map(({ name }) => name.replace(/\.weight$/, ''));
}

/** Identity of a conversion: size and mtime of the weight files, the configuration, and the options. */
async function identify(
  manifest: Manifest,
  config: ModelConfig,
  quantization: Quantization,
  shardBytes: number,
): Promise<Record<string, unknown>> {
  const files = await Promise.all(
    manifest.files.map(async (path) => {
      const { size, mtimeMs } = await stat(path);
      return [path.slice(manifest.folder.length), size, mtimeMs];
    }),
  );
  const source = createHash('sha256').update(JSON.stringify([files, config.raw]));
  return { format: quantizationConfig(quantization), shardBytes, source: source.digest('hex') };
}

/** Sums the progress over all shards. */
class Progress {
  readonly #totalBytes: number;
  readonly #totalTensors: number;
  #bytes = 0;
  #tensors = 0;

  constructor(
    shards: readonly ShardLayout[],
    private readonly report: ((progress: LoadProgress) => void) | undefined,
  ) {
    this.#totalBytes = sum(shards, (shard) => shard.sourceBytes);
    this.#totalTensors = sum(shards, (shard) => shard.tensors.length);
  }

  /** Progress callback for the native call that fills the next shard. */
  ofNext(): (bytes: number, tensors: number) => void {
    const [before, tensorsBefore] = [this.#bytes, this.#tensors];
    return (bytes, tensors) => this.#tell(before + bytes, tensorsBefore + tensors);
  }

  /** Counts a complete shard. */
  add(shard: ShardLayout): void {
    this.#bytes += shard.sourceBytes;
    this.#tensors += shard.tensors.length;
    this.#tell(this.#bytes, this.#tensors);
  }

  #tell(bytes: number, tensors: number): void {
    this.report?.({ bytes, totalBytes: this.#totalBytes, tensors, totalTensors: this.#totalTensors });
  }
}

/** Fills a file in native code. An error that `report` throws aborts the conversion. */
async function fill(
  path: string,
  files: readonly string[],
  shard: ShardLayout,
  threads: number,
  report: (bytes: number, tensors: number) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const native = loadBinding();
  const flag = new native.AbortFlag();
  let thrown: { error: unknown } | null = null;
  let over = false;
  const onProgress = (bytes: number, _: number, tensors: number) => {
    // The last event may arrive after the call has ended.
    if (over || thrown !== null || signal?.aborted) return;
    try {
      report(bytes, tensors);
    } catch (error) {
      thrown = { error };
      flag.abort();
    }
  };
  const description = { files, path, tensors: shard.tensors, threads };
  let running: Promise<void> = Promise.resolve();
  const [outcome] = await Promise.allSettled([
    abortable(flag, signal, () => {
      running = native.fillShard(description, onProgress, flag);
      return running;
    }),
  ]);
  // An abort rejects at once, but the file must not be deleted while native code still writes it.
  await running.catch(() => {});
  over = true;
  const failure = thrown as { error: unknown } | null;
  if (failure !== null) throw failure.error;
  if (outcome.status === 'rejected') throw outcome.reason;
}

/** Writes all files except the weights, config.json last. */
async function writeCompanions(
  folder: OutputFolder,
  files: CheckpointFiles,
  config: Record<string, unknown>,
  metadata: Record<string, string>,
  shards: readonly ShardLayout[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const json = (value: unknown) => `${pythonJson(value)}\n`;
  if (shards.length > 1) {
    const map = Object.fromEntries(
      shards.flatMap(({ name, names }) => names.map((tensor) => [tensor, name])),
    );
    const total = sum(shards, ({ bytes, header }) => bytes - header.length);
    const all = { metadata: { total_size: total, ...metadata }, weight_map: map };
    await folder.write('model.safetensors.index.json', json(all));
  }
  for (const name of companionFiles) {
    const text = await files.readText(name);
    if (text !== null) await folder.write(name, text);
  }
  signal?.throwIfAborted();
  await folder.write('config.json', json(config));
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
