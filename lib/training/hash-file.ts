import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { ioError } from '../checkpoint/files';

/** The SHA-256 of a file's contents. Throws `io`, or the signal's reason when it aborts. */
export async function sha256Of(path: string, signal?: AbortSignal): Promise<Buffer> {
  const hash = createHash('sha256');
  try {
    for await (const piece of createReadStream(path, { signal })) hash.update(piece as Buffer);
  } catch (error) {
    signal?.throwIfAborted();
    throw ioError(path, error);
  }
  return hash.digest();
}
