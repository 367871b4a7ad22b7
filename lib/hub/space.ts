import { statfs } from 'node:fs/promises';
import { RND1Error } from '../support/errors';
import { formatBytes } from '../support/format-bytes';

/** Throws `io` unless a folder's disk has room for `bytes` more. */
export async function checkSpace(folder: string, bytes: number, what: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (bytes <= free) return;
  throw new RND1Error(
    'io',
    `${what} needs ${formatBytes(bytes)} more, but only ${formatBytes(free)} are free in ${folder}`,
  );
}
