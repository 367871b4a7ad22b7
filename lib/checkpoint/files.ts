import { type FileHandle, open, stat } from 'node:fs/promises';
import { RND1Error } from '../errors';

/** Larger JSON files than this are not read: tokenizer.json of RND1 has 11 MB, an index about 2 MB. */
export const JSON_FILE_LIMIT = 128 * 1024 * 1024;

/** What a file system error means to the caller. */
export function ioError(path: string, error: unknown): RND1Error {
  const reason = error instanceof Error ? error.message : String(error);
  return new RND1Error('io', `cannot read ${path}: ${reason}`, { cause: error });
}

/** The size of a regular file in bytes; null when there is none. */
export async function fileSize(path: string): Promise<number | null> {
  const stats = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw ioError(path, error);
  });
  // A pipe or a device would block or never end.
  if (stats?.isFile() === false) throw new RND1Error('io', `${path} is not a regular file`);
  return stats ? stats.size : null;
}

/** Throws `io` unless the folder exists. */
export async function checkFolder(folder: string): Promise<void> {
  const stats = await stat(folder).catch((error) => {
    throw ioError(folder, error);
  });
  if (!stats.isDirectory()) throw new RND1Error('io', `${folder} is not a folder`);
}

/** `length` bytes from `offset`; `invalid_checkpoint` when the file ends before. */
export async function readExactly(
  handle: FileHandle,
  path: string,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, offset + filled);
    if (bytesRead === 0) {
      const found = offset + filled;
      throw new RND1Error(
        'invalid_checkpoint',
        `${path} is truncated: expected ${offset + length} bytes, it has ${found}`,
      );
    }
    filled += bytesRead;
  }
  return bytes;
}

/** Opens a file, gives it to `use` and closes it again. */
export async function withFile<T>(path: string, use: (handle: FileHandle) => Promise<T>): Promise<T> {
  try {
    const handle = await open(path, 'r');
    try {
      return await use(handle);
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw error instanceof RND1Error ? error : ioError(path, error);
  }
}

/** The UTF-8 text of a file of at most `JSON_FILE_LIMIT` bytes; null when there is no such file. */
export async function readText(path: string): Promise<string | null> {
  const size = await fileSize(path);
  if (size === null) return null;
  if (size > JSON_FILE_LIMIT) {
    throw new RND1Error('invalid_checkpoint', `${path} has ${size} bytes; the limit is ${JSON_FILE_LIMIT}`);
  }
  const bytes = await withFile(path, (handle) => readExactly(handle, path, 0, size));
  return decodeUtf8(bytes, path);
}

/** The text of UTF-8 bytes; `invalid_checkpoint` naming `where` when they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new RND1Error('invalid_checkpoint', `${where} is not UTF-8 text`, { cause: error });
  }
}

/** A JSON file whose top level is an object; null when there is no such file. */
export async function readJsonObject(path: string): Promise<Record<string, unknown> | null> {
  const text = await readText(path);
  if (text === null) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new RND1Error('invalid_checkpoint', `${path} is not valid JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RND1Error('invalid_checkpoint', `${path} does not hold a JSON object`);
  }
  return value as Record<string, unknown>;
}
