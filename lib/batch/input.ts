import { stat } from 'node:fs/promises';
import { RND1Error } from '../support/errors';
import { BatchFileError } from './errors';
import { isBlank, readLines } from './json-lines';
import { LineIndex } from './line-index';
import { type BatchRequest, readRequest } from './request';

/** What an input must keep to. */
export interface InputRules {
  /** Number of lines. @default Infinity */
  readonly maxLines?: number;
  /** Bytes of a line. @default longestLine */
  readonly maxLineBytes?: number;
  /** The `url` of every line; null: each has its own. @default null */
  readonly url?: string | null;
}

/**
 * Reads all lines of an input, in order. Blank ones are skipped.
 *
 * @throws BatchFileError for the first line that is wrong, RND1Error `io`
 */
export async function* readRequests(
  path: string,
  { url = null, maxLineBytes }: InputRules = {},
  signal?: AbortSignal,
): AsyncGenerator<BatchRequest, void> {
  for await (const line of readLines(path, signal, maxLineBytes)) {
    const bytes = line.number === 1 ? withoutMark(line.bytes) : line.bytes;
    if (!isBlank(bytes)) yield readRequest(path, { ...line, bytes }, url);
  }
}

/**
 * Checks every line of an input before anything is computed.
 *
 * @throws BatchFileError for the first line that is wrong or repeats a custom_id, RND1Error `io`
 */
export async function indexInput(
  path: string,
  rules: InputRules = {},
  signal?: AbortSignal,
): Promise<LineIndex> {
  const stats = await stat(path).catch((error: Error) => {
    throw new RND1Error('io', `cannot read ${path}: ${error.message}`, { cause: error });
  });
  // It is read twice.
  if (!stats.isFile()) throw new RND1Error('io', `${path} is not a regular file`);
  const index = new LineIndex();
  const maxLines = rules.maxLines ?? Infinity;
  for await (const request of readRequests(path, rules, signal)) {
    const earlier = index.add(request);
    if (earlier !== null) {
      const problem = `custom_id is that of line ${earlier}`;
      throw new BatchFileError('duplicate_custom_id', problem, path, request.line, 'custom_id');
    }
    if (index.size > maxLines) {
      throw new BatchFileError('too_many_lines', `there are more than ${maxLines} lines`, path, request.line);
    }
  }
  if (index.size === 0) throw new BatchFileError('empty_file', 'the file has no lines', path, null);
  return index;
}

/** Removes a byte order mark. */
const withoutMark = (bytes: Buffer) =>
  bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
