import { randomUUID } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { RND1Error } from './errors';

/** Errors of the file system become `io`, with the name of the file. */
export async function writing<T>(path: string, action: () => Promise<T>): Promise<T> {
  return action().catch((error: NodeJS.ErrnoException) => {
    if (typeof error.code !== 'string' || error.syscall === undefined) throw error;
    throw new RND1Error('io', `cannot write ${path}: ${error.message}`, { cause: error });
  });
}

/** Part of the names of files and folders that are not complete. */
export const partialMark = '.partial-';

/** A temporary name beside a path. */
export const partialName = (path: string) => `${path}${partialMark}${randomUUID().slice(0, 8)}`;

/** Writes a file under a temporary name, and renames it: it is whole at any time. */
export async function replaceFile(
  path: string,
  content: string | ((handle: FileHandle) => Promise<void>),
): Promise<void> {
  const partial = partialName(path);
  await writing(path, async () => {
    const handle = await open(partial, 'wx');
    try {
      if (typeof content === 'string') await handle.writeFile(content);
      else await content(handle);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, path);
  }).catch(async (error) => {
    await rm(partial, { force: true }).catch(() => {});
    throw error;
  });
}
