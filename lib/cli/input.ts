import { createReadStream } from 'node:fs';
import { InvalidArgumentError } from 'commander';
import { ioError } from '../checkpoint/files';
import { formatBytes } from '../support/format-bytes';

/** A wrong command line: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Byte order marks, longest first because the UTF-32 mark begins with the UTF-16 one. */
const marks = [
  { bytes: [0xff, 0xfe, 0, 0], encoding: null },
  { bytes: [0, 0, 0xfe, 0xff], encoding: null },
  { bytes: [0xef, 0xbb, 0xbf], encoding: 'utf-8' },
  { bytes: [0xff, 0xfe], encoding: 'utf-16le' },
  { bytes: [0xfe, 0xff], encoding: 'utf-16be' },
] as const;

/**
 * Decodes input bytes: UTF-8, or UTF-16 with a byte order mark, as PowerShell writes it. The mark is removed. `what`
 * names the source in errors.
 *
 * @throws UsageError for other bytes, including UTF-16 without a mark and UTF-32
 */
export function decodeText(bytes: Uint8Array, what: string): string {
  const mark = marks.find((known) => known.bytes.every((byte, i) => bytes[i] === byte));
  const encoding = mark === undefined ? 'utf-8' : mark.encoding;
  if (encoding === null) throw new UsageError(`${what} is UTF-32; expected UTF-8`);
  const rest = bytes.subarray(mark?.bytes.length ?? 0);
  if (encoding === 'utf-8' && rest.includes(0)) {
    throw new UsageError(
      `${what} has zero bytes: it is UTF-16 without a byte order mark, or not text; expected UTF-8`,
    );
  }
  try {
    return new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(rest);
  } catch {
    throw new UsageError(`${what} is not valid ${encoding.toUpperCase()} text`);
  }
}

/** More bytes than any model needs; bounds the memory that an endless stream takes. */
const textLimit = 64_000_000;

async function readStream(stream: NodeJS.ReadableStream, what: string): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stream) {
    const piece = Buffer.from(chunk as Buffer);
    bytes += piece.length;
    if (bytes > textLimit) throw new UsageError(`${what} has more than ${formatBytes(textLimit)}`);
    chunks.push(piece);
  }
  return decodeText(Buffer.concat(chunks), what);
}

/** Reads a whole stream as text, without its last newline. */
export async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  return withoutLastNewline(await readStream(stream, 'standard input'));
}

/** Why a file cannot be read, by the codes of the likeliest errors. */
const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a folder',
  EACCES: 'permission denied',
};

/** Reads a whole text file with `decodeText`. */
export async function readTextFile(path: string): Promise<string> {
  return readStream(createReadStream(path), path).catch((error) => {
    throw error instanceof UsageError
      ? error
      : ioError(path, reasons[(error as NodeJS.ErrnoException).code ?? ''] ?? error);
  });
}

/** The chat template of a server's requests. */
export type TemplateOption = 'auto' | 'task' | { readonly template: string };

/** The template of a `--chat-template` argument, or of none. */
export async function templateOption(argument: string | undefined): Promise<TemplateOption> {
  if (argument === undefined) return 'auto';
  return argument === 'task' ? 'task' : { template: await readTextFile(argument) };
}

/** Reads a file, or standard input for `-`, without its last newline. */
export async function readTextSource(
  path: string,
  input: NodeJS.ReadStream = process.stdin,
): Promise<string> {
  return path === '-' ? readAll(input) : withoutLastNewline(await readTextFile(path));
}

const withoutLastNewline = (text: string) => text.replace(/\r?\n$/, '');

/** The argument itself; standard input for `-`, or when there is no argument and input is piped. */
export async function readText(
  argument: string | undefined,
  what: string,
  input: NodeJS.ReadStream = process.stdin,
): Promise<string> {
  if (argument !== undefined && argument !== '-') return argument;
  if (argument === undefined && input.isTTY) {
    throw new UsageError(`no ${what}: give it as an argument or as --file, or pipe it in`);
  }
  const text = await readAll(input);
  if (argument === undefined && text === '') {
    throw new UsageError(`no ${what}: standard input is empty; pass '' for an empty ${what}`);
  }
  return text;
}

/** Text of a `--tokens` argument: the list itself, `-` for standard input, `@path` for a file. */
export async function readTokenText(
  argument: string,
  input: NodeJS.ReadStream = process.stdin,
): Promise<string> {
  if (argument === '-') return readAll(input);
  return argument.startsWith('@') ? readTextSource(argument.slice(1)) : argument;
}

/** Token ids separated by commas or spaces, in brackets or not; `_` is null where holes are allowed. */
export function parseTokens(text: string, holes: false): number[];
export function parseTokens(text: string, holes: true): (number | null)[];
export function parseTokens(text: string, holes: boolean): (number | null)[] {
  const words = text
    .trim()
    .replace(/^\[(.*)\]$/s, '$1')
    .split(/[\s,]+/)
    .filter((word) => word !== '');
  return words.map((word) => {
    if (holes && word === '_') return null;
    if (!/^\d{1,10}$/.test(word) || Number(word) > 0x7fffffff) {
      throw new UsageError(
        `'${word}' is not a token id: expected integers separated by commas${holes ? ', and _ for a hole' : ''}`,
      );
    }
    return Number(word);
  });
}

/** Wraps an option's parser so that Commander reports its errors with the name of the option. */
export function parser<T>(
  parse: (text: string, previous: T | undefined) => T,
): (text: string, previous?: unknown) => T {
  return (text, previous) => {
    try {
      return parse(text, previous as T | undefined);
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message);
    }
  };
}

/** Parses an integer of at least `min`. */
export const integer = (min: number) =>
  parser((text) => {
    const value = Number(text);
    if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value) || value < min) {
      throw new RangeError(`Expected an integer of at least ${min}.`);
    }
    return value;
  });

/** Parses a finite number from `min` to `max`. */
export const number = (min: number, max = Number.POSITIVE_INFINITY) =>
  parser((text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (!Number.isFinite(value) || value < min || value > max) {
      const range = max === Number.POSITIVE_INFINITY ? `of at least ${min}` : `from ${min} to ${max}`;
      throw new RangeError(`Expected a number ${range}.`);
    }
    return value;
  });

/** Parses a 64-bit integer, signed or unsigned. */
export const seed = parser((text) => {
  if (!/^-?\d+$/.test(text)) throw new TypeError('Expected an integer.');
  const value = BigInt(text);
  if (value < -(2n ** 63n) || value >= 2n ** 64n) throw new RangeError('Expected an integer of 64 bits.');
  return value;
});

/** Value of a special id option that is `none`; Commander does not allow a parser to return null. */
export const none = Symbol('none');

/** Parses one token id, or `none`. */
export const tokenId = parser((text): number | typeof none => {
  if (text === 'none') return none;
  const [id, ...more] = parseTokens(text, false);
  if (id === undefined || more.length > 0) throw new TypeError('Expected one token id, or none.');
  return id;
});

/** Parses token ids, or `none`. */
export const tokenIds = parser((text) => (text === 'none' ? none : parseTokens(text, false)));
