import { createHash, type Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { RemoteFile } from './remote';

const readSize = 1 << 20;

/** Starts a hash of the kind that the hub lists for a file. */
export function startDigest({ hash, bytes }: RemoteFile): Hash {
  // A file outside large file storage is a git blob, whose hash covers a header, too.
  return hash.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${bytes}\0`);
}

/** Adds the first `bytes` bytes of a file to a hash, in chunks. */
export async function digestStart(
  digest: Hash,
  handle: FileHandle,
  bytes: number,
  signal: AbortSignal,
): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(readSize, bytes));
  for (let at = 0; at < bytes; ) {
    signal.throwIfAborted();
    const { bytesRead } = await handle.read(buffer, 0, Math.min(buffer.length, bytes - at), at);
    if (bytesRead === 0) throw new Error(`the file ended at ${at} of ${bytes} bytes while it was read`);
    digest.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
}
