import { type FileHandle, open, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { RND1Error } from '../support/errors';
import { formatBytes } from '../support/format-bytes';
import { quote } from './format';
import { JsonReader } from './json-reader';

/** Limits for reading a text file. */
export interface TextLimits {
  readonly bytes: number;
  /** Values of its JSON, at all depths. */
  readonly values: number;
}

const MB = 1_000_000;

/** Far above all published files: RND1's config.json has 1 kB, its index 2 MB, its tokenizer.json 11 MB. */
const limitsByName: ReadonlyMap<string, TextLimits> = new Map([
  ['generation_config.json', { bytes: MB, values: 50_000 }],
  ['tokenizer_config.json', { bytes: 16 * MB, values: 500_000 }],
  ['tokenizer.json', { bytes: 64 * MB, values: 4_000_000 }],
  ['model.safetensors.index.json', { bytes: 64 * MB, values: 0 }],
  // Copied when a checkpoint is quantized, not parsed.
  ['vocab.json', { bytes: 64 * MB, values: 0 }],
  ['merges.txt', { bytes: 64 * MB, values: 0 }],
  ['chat_template.jinja', { bytes: 4 * MB, values: 0 }],
]);

/** config.json, whatever its name. */
const otherLimits: TextLimits = { bytes: MB, values: 50_000 };

/** The limits of a text file of a checkpoint, by its name. */
export function limitsOf(path: string): TextLimits {
  return limitsByName.get(basename(path)) ?? otherLimits;
}

/** The `io` error for a file system error. */
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

/** Opens a file, passes it to `use` and closes it. */
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

/** The UTF-8 text of a file within the limits of its name; null when there is no such file. */
export async function readText(path: string): Promise<string | null> {
  const size = await fileSize(path);
  if (size === null) return null;
  const limit = limitsOf(path).bytes;
  if (size > limit) {
    throw new RND1Error(
      'invalid_checkpoint',
      `${path} has ${formatBytes(size)}; the limit is ${formatBytes(limit)}`,
    );
  }
  const bytes = await withFile(path, (handle) => readExactly(handle, path, 0, size));
  refusePointer(bytes, path);
  return decodeUtf8(bytes, path);
}

/** The start of a Git LFS pointer file. */
const pointer = 'version https://git-lfs';

/** Throws if the file is a Git LFS pointer. The first 8 bytes are enough to detect one. */
export function refusePointer(bytes: Uint8Array, path: string): void {
  const start = Buffer.from(bytes.subarray(0, pointer.length)).toString('latin1');
  if (start.length < 8 || !pointer.startsWith(start)) return;
  throw new RND1Error(
    'invalid_checkpoint',
    `${path} is a Git LFS pointer, not the file itself: fetch that with \`git lfs pull\``,
  );
}

/** The text of UTF-8 bytes; `invalid_checkpoint` naming `where` when they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new RND1Error('invalid_checkpoint', `${where} is not UTF-8 text`, { cause: error });
  }
}

/** Duplicate keys that are reported per file; further ones are only counted. */
const warnedKeys = 5;

/**
 * Reads a JSON file whose top level is an object, as Python's json does: NaN and Infinity are numbers. Null when there
 * is no such file. `warn` is called for duplicate keys with the same value.
 */
export async function readJsonObject(
  path: string,
  warn: (message: string) => void = () => {},
): Promise<Record<string, unknown> | null> {
  const text = await readText(path);
  if (text === null) return null;
  let twice = 0;
  const reader = new JsonReader(text, `${path} is not valid JSON`, {
    constants: true,
    values: limitsOf(path).values,
    onTwice(key) {
      twice += 1;
      if (twice <= warnedKeys) warn(`${path}: the key ${quote(key)} occurs twice, with the same value`);
    },
  });
  const value = reader.value();
  reader.end();
  if (twice > warnedKeys) warn(`${path}: ${twice - warnedKeys} more keys occur twice`);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RND1Error('invalid_checkpoint', `${path} does not hold a JSON object`);
  }
  return value as Record<string, unknown>;
}

/** JSON as Python's json writes it: `JSON.stringify` would make null of NaN and Infinity. */
export function pythonJson(value: unknown): string {
  const mark = '\u{e000}number:';
  const text = JSON.stringify(
    value,
    (_, item) => (typeof item === 'number' && !Number.isFinite(item) ? `${mark}${item}` : item),
    2,
  );
  return text.replace(new RegExp(`"${mark}(NaN|-?Infinity)"`, 'gu'), '$1');
}
