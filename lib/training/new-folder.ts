import { createHash } from 'node:crypto';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { RND1Error } from '../support/errors';
import { partialName, writing } from '../support/write-files';
import type { FileSummary } from './trainer-state';

/** Writes bytes to a file. */
export type Write = (bytes: Uint8Array) => Promise<void>;

/** A folder in the making, under a temporary name. */
export interface NewFolder {
  readonly path: string;
  /** Creates a file, and synchronizes it with the disk. */
  file(name: string, use: (write: Write) => Promise<void>): Promise<FileSummary>;
  text(name: string, content: string): Promise<FileSummary>;
}

/**
 * Makes a folder that appears when it is complete, beside which nothing is left.
 *
 * @throws RND1Error `io` if there is one that is not empty, or if it cannot be written
 */
export async function makeFolder<T>(folder: string, use: (made: NewFolder) => Promise<T>): Promise<T> {
  const path = resolve(folder);
  const partial = partialName(path);
  await writing(folder, () => refuseOccupied(path, folder));
  try {
    await writing(folder, () => mkdir(partial, { recursive: true }));
    const file = (name: string, write: (write: Write) => Promise<void>) =>
      writeFile(join(partial, name), write);
    const result = await use({
      path: partial,
      file,
      text: (name, content) => file(name, (write) => write(Buffer.from(content))),
    });
    await writing(folder, async () => {
      await synchronize(partial);
      // An empty folder gives way.
      await rename(partial, path);
      await synchronize(dirname(path));
    });
    return result;
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

async function writeFile(path: string, use: (write: Write) => Promise<void>): Promise<FileSummary> {
  return writing(path, async () => {
    const handle = await open(path, 'wx');
    const hash = createHash('sha256');
    let size = 0;
    try {
      await use(async (bytes) => {
        await handle.writeFile(bytes);
        hash.update(bytes);
        size += bytes.byteLength;
      });
      await handle.sync();
    } finally {
      await handle.close();
    }
    return { size, sha256: hash.digest('hex') };
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
