import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { InvalidArgumentError } from 'commander';

/** A wrong command line: exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** All of a stream, as text, without the one newline that ends a file. */
export async function readAll(stream: NodeJS.ReadableStream): Promise<string> {
  stream.setEncoding('utf8');
  let text = '';
  for await (const chunk of stream) text += chunk;
  return text.replace(/\r?\n$/, '');
}

/** Text of a file, or of standard input for `-`. */
export function readTextSource(path: string, input: NodeJS.ReadStream = process.stdin): Promise<string> {
  return readAll(path === '-' ? input : createReadStream(path));
}

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
    throw new UsageError(`no ${what}: standard input is empty; give '' to begin with nothing`);
  }
  return text;
}

/** Text of a `--tokens` argument: the list itself, `-` for standard input, `@path` for a file. */
export async function readTokenText(
  argument: string,
  input: NodeJS.ReadStream = process.stdin,
): Promise<string> {
  if (argument === '-') return readAll(input);
  return argument.startsWith('@') ? readFile(argument.slice(1), 'utf8') : argument;
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

/** An option's parser whose complaint becomes commander's, with the option's name before it. */
export function parser<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message);
    }
  };
}

/** An integer of at least `least`. */
export const integer = (least: number) =>
  parser((text) => {
    const value = Number(text);
    if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value) || value < least) {
      throw new RangeError(`Expected an integer of at least ${least}.`);
    }
    return value;
  });

/** A finite number from `least` to `most`. */
export const number = (least: number, most = Number.POSITIVE_INFINITY) =>
  parser((text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    if (!Number.isFinite(value) || value < least || value > most) {
      const range = most === Number.POSITIVE_INFINITY ? `of at least ${least}` : `from ${least} to ${most}`;
      throw new RangeError(`Expected a number ${range}.`);
    }
    return value;
  });

/** A 64-bit integer. */
export const seed = parser((text) => {
  if (!/^-?\d+$/.test(text)) throw new TypeError('Expected an integer.');
  const value = BigInt(text);
  if (value < -(2n ** 63n) || value >= 2n ** 64n) throw new RangeError('Expected an integer of 64 bits.');
  return value;
});

/** What the options of special ids give for `none`; commander does not let a parser return null. */
export const none = Symbol('none');

/** One token id, or `none`. */
export const tokenId = parser((text): number | typeof none => {
  if (text === 'none') return none;
  const [id, ...more] = parseTokens(text, false);
  if (id === undefined || more.length > 0) throw new TypeError('Expected one token id, or none.');
  return id;
});

/** Token ids, or `none`. */
export const tokenIds = parser((text) => (text === 'none' ? none : parseTokens(text, false)));
