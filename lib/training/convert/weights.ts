import { copyFile, link, mkdir, open, realpath } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { readExactly, withFile } from '../../checkpoint/files';
import type { Manifest, ManifestTensor } from '../../checkpoint/manifest';
import { type HeaderTensor, readHeader } from '../../checkpoint/safetensors';
import { safetensorsHeader } from '../../checkpoint/writing';
import { RND1Error } from '../../support/errors';
import { writing } from '../../support/write-files';
import { widened } from '../floats';
import type { NewFolder } from '../new-folder';
import { NormalStream } from '../normal';
import { encoded } from '../weight-files';

/** How weights come into the new folder. */
export interface WeightsReport {
  /** Bytes of files that the new folder shares with the old one. */
  readonly linkedBytes: number;
  /** Bytes of files that it has for itself. */
  readonly copiedBytes: number;
}

/** Puts a file into the new folder: as a link to the same bytes, or as a copy. */
export async function placeFile(
  made: NewFolder,
  path: string,
  name: string,
  copy: boolean,
): Promise<'linked' | 'copied'> {
  const target = join(made.path, name);
  await writing(target, () => mkdir(dirname(target), { recursive: true }));
  if (!copy) {
    try {
      // Of the file itself: models of the hub's cache are symbolic links.
      await link(await realpath(path), target);
      return 'linked';
    } catch (error) {
      // Another file system, or one without links.
      const { code } = error as NodeJS.ErrnoException;
      if (!['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP'].includes(code ?? '')) throw error;
    }
  }
  await writing(target, async () => {
    await copyFile(path, target);
    const handle = await open(target, 'r+');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
  return 'copied';
}

/** Bytes that are copied at once. */
const piece = 2 ** 24;

/** Deviation of a new row from the mean of all. */
const spread = 1e-2;

/** Places all weight files; tensors in `grown` get one more row, the mean of their rows with a little noise. */
export async function placeWeights(
  made: NewFolder,
  { folder, files, fileBytes }: Manifest,
  grown: readonly ManifestTensor[],
  { copy, seed, signal }: { readonly copy: boolean; readonly seed: bigint; readonly signal?: AbortSignal },
): Promise<WeightsReport> {
  let [linkedBytes, copiedBytes] = [0, 0];
  for (const [i, path] of files.entries()) {
    signal?.throwIfAborted();
    const names = new Set(grown.filter(({ file }) => file === i).map(({ name }) => name));
    const bytes = fileBytes[i] as number;
    // Some shards are in folders of their own.
    const name = relative(folder, path);
    if (names.size > 0) await rewrite(made, path, name, names, seed, signal);
    const how = names.size > 0 ? 'copied' : await placeFile(made, path, name, copy);
    if (how === 'linked') linkedBytes += bytes;
    else copiedBytes += bytes;
  }
  return { linkedBytes, copiedBytes };
}

/** Writes a file again, with one more row of some tensors. */
async function rewrite(
  made: NewFolder,
  path: string,
  target: string,
  names: ReadonlySet<string>,
  seed: bigint,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { tensors, metadata } = await readHeader(path);
  const written = tensors.map((tensor) => (names.has(tensor.name) ? withRow(tensor, path) : tensor));
  await writing(target, () => mkdir(dirname(join(made.path, target)), { recursive: true }));
  await withFile(path, async (handle) => {
    await made.file(target, async (write) => {
      await write(safetensorsHeader(written, Object.fromEntries(metadata)));
      for (const [i, tensor] of tensors.entries()) {
        const row = names.has(tensor.name) ? new MeanRow(tensor) : null;
        const part = row?.wholeRows(piece) ?? piece;
        for (let at = 0; at < tensor.bytes; at += part) {
          signal?.throwIfAborted();
          const length = Math.min(part, tensor.bytes - at);
          const bytes = await readExactly(handle, path, tensor.offset + at, length);
          row?.add(bytes);
          await write(bytes);
        }
        if (row !== null) await write(row.noisy(new NormalStream(seed, i)));
      }
    });
  });
}

function withRow(tensor: HeaderTensor, path: string): HeaderTensor {
  const [rows, columns] = tensor.shape as [number, number];
  if (tensor.dtype !== 'F32' && tensor.dtype !== 'BF16')
    throw new RND1Error(
      'unsupported_model',
      `${path}: ${tensor.name} is ${tensor.dtype}; a row for the mask token can be added to F32 and BF16 only`,
    );
  return { ...tensor, shape: [rows + 1, columns], bytes: tensor.bytes + tensor.bytes / rows };
}

/** The mean of a tensor's rows. */
class MeanRow {
  readonly #sums: Float64Array;
  readonly #rowBytes: number;
  #rows = 0;

  constructor(private readonly tensor: HeaderTensor) {
    const [rows, columns] = tensor.shape as [number, number];
    this.#sums = new Float64Array(columns);
    this.#rowBytes = tensor.bytes / rows;
  }

  /** The largest number of bytes up to `bytes`, but at least one row, that ends with a row. */
  wholeRows(bytes: number): number {
    return Math.max(1, Math.floor(bytes / this.#rowBytes)) * this.#rowBytes;
  }

  add(bytes: Uint8Array): void {
    const { buffer, byteOffset, byteLength } = bytes;
    const values =
      this.tensor.dtype === 'F32'
        ? new Float32Array(buffer, byteOffset, byteLength / 4)
        : widened(new Uint16Array(buffer, byteOffset, byteLength / 2));
    const sums = this.#sums;
    for (let i = 0; i < values.length; i++) {
      const column = i % sums.length;
      sums[column] = (sums[column] as number) + (values[i] as number);
    }
    this.#rows += byteLength / this.#rowBytes;
  }

  /** With a little noise, so that no two new rows are alike. */
  noisy(stream: NormalStream): Uint8Array {
    const row = Float32Array.from(this.#sums, (sum) => sum / this.#rows + spread * stream.next());
    return encoded(row, this.tensor.dtype as 'F32' | 'BF16');
  }
}
