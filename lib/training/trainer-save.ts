import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { CheckpointFiles } from '../checkpoint/checkpoint-files';
import { pythonJson, readExactly, readJsonObject, withFile } from '../checkpoint/files';
import { readHeader } from '../checkpoint/safetensors';
import type { FoundTensor } from '../checkpoint/tensors';
import { companionFiles, safetensorsHeader, shardName, splitShards } from '../checkpoint/writing';
import { RND1Error } from '../support/errors';
import { booleanOption, optionsObject, signalOption, wordOption } from '../support/validate';
import type { Moments, SaveOptions } from './trainer-types';

/** What is saved of a model besides its parameters. */
export interface SavedModel {
  readonly files: CheckpointFiles;
  /** config.json. */
  readonly raw: Readonly<Record<string, unknown>>;
  readonly stored: readonly FoundTensor[];
}

interface Source extends SavedModel {
  readonly steps: number;
  /** Names of the tensors that have moments. */
  readonly trained: ReadonlySet<string>;
  readonly parameter: (name: string) => Promise<Float32Array>;
  readonly moments: (name: string) => Promise<Moments>;
}

/** A tensor to write, whose values are read when their turn comes. */
interface Entry {
  readonly name: string;
  readonly dtype: 'F32' | 'BF16';
  readonly shape: readonly number[];
  readonly bytes: number;
  readonly read: () => Promise<Float32Array>;
}

const stateFile = 'trainer_state.json';
const shardBytes = 2e9;
const saveNames = { dtype: true, optimizer: true, signal: true } as const;

/** Writes everything into a folder of a temporary name beside the final one, and renames that. */
export async function saveTrainer(folder: string, given: SaveOptions, source: Source): Promise<void> {
  const options = optionsObject('options', given, saveNames);
  const dtype = wordOption('dtype', options.dtype ?? 'f32', ['f32', 'bf16']);
  const optimizer = booleanOption('optimizer', options.optimizer, true);
  const signal = signalOption(options.signal);
  const path = resolve(folder);
  const partial = join(dirname(path), `${basename(path)}.partial-${randomUUID().slice(0, 8)}`);
  await attempt(folder, () => refuseOccupied(path, folder));
  try {
    await attempt(folder, () => mkdir(partial, { recursive: true }));
    await writeWeights(partial, dtype, source, signal);
    if (optimizer) await writeOptimizer(partial, dtype, source, signal);
    signal?.throwIfAborted();
    await attempt(folder, async () => {
      await synchronize(partial);
      // An empty folder gives way.
      await rename(partial, path);
      await synchronize(dirname(path));
    });
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
}

async function refuseOccupied(path: string, folder: string): Promise<void> {
  const found = await readdir(path).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  if (found.length > 0) throw new RND1Error('io', `${folder} is not empty: name a new folder`);
}

async function writeWeights(
  folder: string,
  dtype: 'f32' | 'bf16',
  { files, raw, stored, parameter }: Source,
  signal: AbortSignal | undefined,
): Promise<void> {
  const width = dtype === 'f32' ? 4 : 2;
  const entries = stored.map(
    ({ name, shape }): Entry => ({
      name,
      dtype: dtype === 'f32' ? 'F32' : 'BF16',
      shape,
      bytes: elements(shape) * width,
      read: () => parameter(name),
    }),
  );
  await writeShards(folder, 'model', entries, signal);
  for (const name of companionFiles) {
    const text = await files.readText(name);
    if (text !== null) await writeFile(join(folder, name), text);
  }
  const type = dtype === 'f32' ? 'float32' : 'bfloat16';
  const config = { ...raw, ['torch_dtype' in raw || !('dtype' in raw) ? 'torch_dtype' : 'dtype']: type };
  await writeFile(join(folder, 'config.json'), `${pythonJson(config)}\n`);
}

async function writeOptimizer(
  folder: string,
  dtype: 'f32' | 'bf16',
  { stored, trained, moments, parameter, steps }: Source,
  signal: AbortSignal | undefined,
): Promise<void> {
  const entries = stored.flatMap(({ name, shape }): Entry[] => {
    const entry = (suffix: string, read: () => Promise<Float32Array>): Entry => ({
      name: `${name}.${suffix}`,
      dtype: 'F32',
      shape,
      bytes: elements(shape) * 4,
      read,
    });
    if (!trained.has(name)) return [];
    const own = dtype === 'f32' ? [] : [entry('master', () => parameter(name))];
    return [
      entry('exp_avg', async () => (await moments(name)).first),
      entry('exp_avg_sq', async () => (await moments(name)).second),
      ...own,
    ];
  });
  const names = await writeShards(folder, 'optimizer', entries, signal);
  const state = { format: 1, global_step: steps, optimizer_files: names };
  await writeFile(join(folder, stateFile), `${JSON.stringify(state, null, 2)}\n`);
}

/** Writes safetensors files with an index if there are several; returns their names. */
async function writeShards(
  folder: string,
  stem: string,
  entries: readonly Entry[],
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const shards = splitShards(entries, ({ bytes }) => bytes, shardBytes);
  const names = shards.map((_, i) => shardName(i, shards.length).replace('model', stem));
  for (const [i, shard] of shards.entries()) {
    const path = join(folder, names[i] as string);
    await writing(path, async (handle) => {
      await handle.writeFile(safetensorsHeader(shard, { format: 'pt' }));
      for (const { dtype, read } of shard) {
        signal?.throwIfAborted();
        const values = await read();
        await handle.writeFile(dtype === 'F32' ? bytesOf(values) : bytesOf(roundedToBf16(values)));
      }
    });
  }
  if (shards.length > 1) {
    const map = shards.flatMap((shard, i) => shard.map(({ name }) => [name, names[i]] as const));
    const total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
    const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(map) };
    await writeFile(join(folder, `${stem}.safetensors.index.json`), `${JSON.stringify(index, null, 2)}\n`);
  }
  return names;
}

/** The optimizer's state in a folder that `saveTrainer` wrote. */
export interface SavedState {
  readonly steps: number;
  /** Passes the moments of the named tensors on; throws `invalid_checkpoint` if some are missing or misshapen. */
  restore(
    names: readonly string[],
    setMoments: (name: string, moments: Moments) => Promise<void>,
    setParameter: (name: string, values: Float32Array) => Promise<void>,
  ): Promise<void>;
}

/** Throws `invalid_checkpoint` if the folder has none. */
export async function readState(folder: string): Promise<SavedState> {
  const path = join(folder, stateFile);
  const state = await readJsonObject(path);
  if (state === null)
    throw new RND1Error('invalid_checkpoint', `${path} is missing: there is nothing to resume`);
  const { format, global_step: steps, optimizer_files: files } = state;
  const valid =
    format === 1 &&
    Number.isSafeInteger(steps) &&
    (steps as number) >= 0 &&
    Array.isArray(files) &&
    files.every((name) => typeof name === 'string' && basename(name) === name);
  if (!valid) throw new RND1Error('invalid_checkpoint', `${path} is not the state of a trainer`);
  const places = new Map<string, { path: string; offset: number; bytes: number }>();
  for (const name of files as string[]) {
    const file = join(folder, name);
    const { tensors } = await readHeader(file);
    for (const { name: tensor, dtype, offset, bytes } of tensors)
      if (dtype === 'F32') places.set(tensor, { path: file, offset, bytes });
  }
  const read = async (name: string): Promise<Float32Array> => {
    const place = places.get(name);
    if (place === undefined) throw new RND1Error('invalid_checkpoint', `${path}: ${name} is missing, in F32`);
    const bytes = await withFile(place.path, (handle) =>
      readExactly(handle, place.path, place.offset, place.bytes),
    );
    return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  };
  return {
    steps: steps as number,
    async restore(names, setMoments, setParameter) {
      for (const name of names) {
        await setMoments(name, {
          first: await read(`${name}.exp_avg`),
          second: await read(`${name}.exp_avg_sq`),
        });
        if (places.has(`${name}.master`)) await setParameter(name, await read(`${name}.master`));
      }
    },
  };
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function bytesOf(values: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** The upper halves, rounded to nearest, ties to even; NaN stays NaN. */
function roundedToBf16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (each) =>
    (each & 0x7fffffff) > 0x7f800000 ? (each >>> 16) | 0x40 : (each + 0x7fff + ((each >>> 16) & 1)) >>> 16,
  );
}

async function writeFile(path: string, content: string): Promise<void> {
  await writing(path, (handle) => handle.writeFile(content));
}

/** Creates a file, and synchronizes it with the disk. */
async function writing(path: string, use: (handle: FileHandle) => Promise<void>): Promise<void> {
  await attempt(path, async () => {
    const handle = await open(path, 'wx');
    try {
      await use(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

async function synchronize(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Errors of the file system become `io`. */
async function attempt<T>(path: string, action: () => Promise<T>): Promise<T> {
  return action().catch((error: NodeJS.ErrnoException) => {
    if (typeof error.code !== 'string' || error.syscall === undefined) throw error;
    throw new RND1Error('io', `cannot write ${path}: ${error.message}`, { cause: error });
  });
}
