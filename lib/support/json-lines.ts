import { createReadStream } from 'node:fs';
import { types } from 'node:util';
import { RND1Error } from './errors';
import { formatBytes } from './format-bytes';

/** A line of a file. */
export interface Line {
  /** From 1. */
  readonly number: number;
  /** Its bytes, without the line break. */
  readonly bytes: Buffer;
  /** Offset of the byte behind it and its line break. */
  readonly end: number;
  /** Whether it has a line break. */
  readonly complete: boolean;
}

/** Bytes of the longest line: far more than any model reads. */
export const longestLine = 2 ** 24;

const lineFeed = 0x0a;

/** How lines are read. */
export interface LineOptions {
  readonly signal?: AbortSignal;
  /** Of the longest line. @default longestLine */
  readonly maxBytes?: number;
  /** The error for a longer one. @default RND1Error `invalid_data` */
  readonly refuse?: (problem: string, line: number) => Error;
}

/** Reads a file line by line and holds no more than a line and a piece of the file. */
export async function* readLines(
  path: string,
  {
    signal,
    maxBytes = longestLine,
    refuse = (problem, line) => new RND1Error('invalid_data', `${path}, line ${line}: ${problem}`),
  }: LineOptions = {},
): AsyncGenerator<Line, void> {
  const pieces: Buffer[] = [];
  let held = 0;
  let number = 1;
  let end = 0;
  const take = (last: Buffer, complete: boolean): Line => {
    const bytes = pieces.length === 0 ? last : Buffer.concat([...pieces, last]);
    pieces.length = 0;
    held = 0;
    end += bytes.length + (complete ? 1 : 0);
    return { number: number++, bytes, end, complete };
  };
  const check = (length: number) => {
    if (length <= maxBytes) return;
    throw refuse(`the line has more than ${formatBytes(maxBytes)}`, number);
  };
  const stream = createReadStream(path, { highWaterMark: 2 ** 18, signal });
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      let start = 0;
      for (;;) {
        const stop = chunk.indexOf(lineFeed, start);
        if (stop === -1) break;
        check(held + stop - start);
        yield take(chunk.subarray(start, stop), true);
        start = stop + 1;
      }
      if (start === chunk.length) continue;
      pieces.push(chunk.subarray(start));
      held += chunk.length - start;
      check(held);
    }
  } catch (error) {
    signal?.throwIfAborted();
    if (types.isNativeError(error) && 'syscall' in error) {
      throw new RND1Error('io', `cannot read ${path}: ${error.message}`, { cause: error });
    }
    throw error;
  }
  if (held > 0) yield take(Buffer.alloc(0), false);
}

/** The JSON of a line; undefined for bytes that are not JSON in UTF-8. */
export function parseLine(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

/** Whether a line consists of spaces, as the last one of a file may. */
export const isBlank = (bytes: Buffer) =>
  bytes.every((byte) => byte === 0x20 || byte === 0x09 || byte === 0x0d);
