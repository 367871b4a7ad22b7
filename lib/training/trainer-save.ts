import type { CheckpointFiles } from '../checkpoint/checkpoint-files';
import { pythonJson } from '../checkpoint/files';
import type { FoundTensor } from '../checkpoint/tensors';
import { companionFiles } from '../checkpoint/writing';
import { booleanOption, optionsObject, signalOption, wordOption } from '../support/validate';
import { makeFolder, type NewFolder } from './new-folder';
import { stateFile } from './trainer-state';
import type { Moments, SaveOptions } from './trainer-types';
import { elements, encoded, type TensorEntry, type Written, writeShards } from './weight-files';

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

const saveNames = { dtype: true, optimizer: true, state: true, signal: true } as const;

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
  const type = dtype === 'f32' ? 'F32' : 'BF16';
  const entries = stored.map(
    ({ name, shape }): TensorEntry => ({
      name,
      dtype: type,
      shape,
      bytes: elements(shape) * width,
      write: async (write) => write(encoded(await parameter(name), type)),
    }),
  );
  const written = await writeShards(made, 'model', entries, signal);
  for (const name of companionFiles) {
    const text = await files.readText(name);
    if (text !== null) await made.text(name, text);
  }
  const word = dtype === 'f32' ? 'float32' : 'bfloat16';
  const config = { ...raw, ['torch_dtype' in raw || !('dtype' in raw) ? 'torch_dtype' : 'dtype']: word };
  await made.text('config.json', `${pythonJson(config)}\n`);
  return written;
}

async function writeOptimizer(
  made: NewFolder,
  dtype: 'f32' | 'bf16',
  { stored, trained, moments, parameter }: Source,
  signal: AbortSignal | undefined,
): Promise<Written> {
  const entries = stored.flatMap(({ name, shape }): TensorEntry[] => {
    const entry = (suffix: string, read: () => Promise<Float32Array>): TensorEntry => ({
      name: `${name}.${suffix}`,
      dtype: 'F32',
      shape,
      bytes: elements(shape) * 4,
      write: async (write) => write(encoded(await read(), 'F32')),
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
