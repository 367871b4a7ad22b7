import { createHash, type Hash } from 'node:crypto';
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type DiffusionLM, RND1Error } from '../index';
import { printableName } from '../support/printable';
import { sourceOf } from './loading';

/** A model, as results of evaluations name it. */
export interface ModelDescription {
  readonly source: string;
  readonly family: string;
  readonly device: string;
  /** Dtype of the computation. */
  readonly dtype: string;
  /** Dtype of most of the weights. */
  readonly weightDtype: string;
  /** 16 hexadecimal digits that tell checkpoints apart. */
  readonly checkpoint: string;
}

/** What decides whether two processes have the same model. */
export type ModelIdentity = Pick<ModelDescription, 'checkpoint' | 'dtype' | 'weightDtype'>;

export const identityOf = ({ checkpoint, dtype, weightDtype }: ModelDescription): ModelIdentity => ({
  checkpoint,
  dtype,
  weightDtype,
});

/** Files that answers depend on. */
const filesOfCheckpoint = /^(config|generation_config|tokenizer)\.json$|\.(safetensors|gguf)$/;

/** Large files are read in so many places, so many bytes each. */
const [places, bytes] = [64, 1 << 16];

/** @throws RND1Error `io` if a file of the checkpoint cannot be read any more */
export async function describeModel(
  { info, config }: DiffusionLM,
  place: string | undefined,
): Promise<ModelDescription> {
  return {
    source: sourceOf(place),
    family: config.family,
    device: info.device,
    dtype: info.dtype,
    weightDtype: info.weightDtype,
    checkpoint: await checkpointDigest(info.folder),
  };
}

/** A digest of a checkpoint's names, sizes and samples of what they hold; a folder's name does not count. */
async function checkpointDigest(path: string): Promise<string> {
  const hash = createHash('sha256');
  try {
    const isFile = (await stat(path)).isFile();
    const names = isFile ? [''] : (await readdir(path)).filter((name) => filesOfCheckpoint.test(name)).sort();
    for (const name of names) await addFile(hash, join(path, name));
  } catch (error) {
    throw new RND1Error('io', `cannot read ${printableName(path)}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  return hash.digest('hex').slice(0, 16);
}

async function addFile(hash: Hash, path: string): Promise<void> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    hash.update(`${basename(path)}\n${size}\n`);
    const whole = size <= places * bytes;
    const starts = whole
      ? [0]
      : Array.from({ length: places }, (_, i) => ((size - bytes) * i) / (places - 1));
    for (const start of starts) hash.update(await read(file, Math.floor(start), whole ? size : bytes));
  } finally {
    await file.close();
  }
}

async function read(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}
