import type { CheckpointFiles } from '../checkpoint/checkpoint-files';
import { pythonJson } from '../checkpoint/files';
import type { FoundTensor } from '../checkpoint/tensors';
import { companionFiles, safetensorsHeader, shardName, splitShards } from '../checkpoint/writing';
import { booleanOption, optionsObject, signalOption, wordOption } from '../support/validate';
import { bytesOf, roundedToBf16 } from './floats';
import { makeFolder, type NewFolder } from './new-folder';
import { type FileSummary, stateFile } from './trainer-state';
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

const shardBytes = 2e9;
const saveNames = { dtype: true, optimizer: true, state: true, signal: true } as const;

/** What was written, by name. */
type Written = Record<string, FileSummary>;

/** Writes everything into a folder of a temporary name beside the final one, and renames that. */
export async function saveTrainer(folder: string, given: SaveOptions, source: Source): Promise<void> {
  const options = optionsObject('options', given, saveNames);
  const dtype = wordOption('dtype', options.dtype ?? 'f32', ['f32', 'bf16']);
  const optimizer = booleanOption('optimizer', options.optimizer, true);
  const signal = signalOption(options.signal);
  await makeFolder(folder, async (made) => {
    const written = await writeWeights(made, dtype, source, signal);
    if (optimizer) {
      Object.assign(written, await writeOptimizer(made, dtype, source, signal));
      await writeState(made, source.steps, written, options.state ?? {});
    }
    signal?.throwIfAborted();
  });
}

async function writeWeights(
  made: NewFolder,
  dtype: 'f32' | 'bf16',
  { files, raw, stored, parameter }: Source,
  signal: AbortSignal | undefined,
): Promise<Written> {
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
  const written = await writeShards(made, 'model', entries, signal);
  for (const name of companionFiles) {
    const text = await files.readText(name);
    if (text !== null) await made.text(name, text);
  }
  const type = dtype === 'f32' ? 'float32' : 'bfloat16';
  const config = { ...raw, ['torch_dtype' in raw || !('dtype' in raw) ? 'torch_dtype' : 'dtype']: type };
  await made.text('config.json', `${pythonJson(config)}\n`);
  return written;
}

async function writeOptimizer(
  made: NewFolder,
  dtype: 'f32' | 'bf16',
  { stored, trained, moments, parameter }: Source,
  signal: AbortSignal | undefined,
): Promise<Written> {
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
  return writeShards(made, 'optimizer', entries, signal);
}

async function writeState(
  made: NewFolder,
  steps: number,
  files: Written,
  state: Readonly<Record<string, unknown>>,
): Promise<void> {
  const names = Object.keys(files).filter((name) => name.startsWith('optimizer'));
  const content = { format: 1, global_step: steps, optimizer_files: names, files, state };
  await made.text(stateFile, `${JSON.stringify(content, null, 2)}\n`);
}

/** Writes safetensors files, with an index if there are several. */
async function writeShards(
  made: NewFolder,
  stem: string,
  entries: readonly Entry[],
  signal: AbortSignal | undefined,
): Promise<Written> {
  const shards = splitShards(entries, ({ bytes }) => bytes, shardBytes);
  const names = shards.map((_, i) => shardName(i, shards.length).replace('model', stem));
  const written: Written = {};
  for (const [i, shard] of shards.entries()) {
    const name = names[i] as string;
    written[name] = await made.file(name, async (write) => {
      await write(safetensorsHeader(shard, { format: 'pt' }));
      for (const { dtype, read } of shard) {
        signal?.throwIfAborted();
        const values = await read();
        await write(dtype === 'F32' ? bytesOf(values) : bytesOf(roundedToBf16(values)));
      }
    });
  }
  if (shards.length > 1) {
    const map = shards.flatMap((shard, i) => shard.map(({ name }) => [name, names[i]] as const));
    const total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
    const index = { metadata: { total_size: total }, weight_map: Object.fromEntries(map) };
    await made.text(`${stem}.safetensors.index.json`, `${JSON.stringify(index, null, 2)}\n`);
  }
  return written;
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
