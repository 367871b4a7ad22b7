import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ioError, readExactly, withFile } from '../checkpoint/files';
import type { DiffusionLM } from '../index';
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
  for (const file of await filesIn(path)) {
    await withFile(file, async (handle) => {
      const { size } = await handle.stat();
      hash.update(`${basename(file)}\n${size}\n`);
      const whole = size <= places * bytes;
      const starts = whole
        ? [0]
        : Array.from({ length: places }, (_, i) => Math.floor(((size - bytes) * i) / (places - 1)));
      for (const start of starts) hash.update(await readExactly(handle, file, start, whole ? size : bytes));
    });
  }
  return hash.digest('hex').slice(0, 16);
}

/** The files of a folder, in order, or the file itself. */
async function filesIn(path: string): Promise<string[]> {
  try {
    if ((await stat(path)).isFile()) return [path];
    const names = (await readdir(path)).filter((name) => filesOfCheckpoint.test(name));
    return names.sort().map((name) => join(path, name));
  } catch (error) {
    throw ioError(path, error);
  }
}
