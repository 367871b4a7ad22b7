import { type Line, longestLine, readLines as readAnyLines } from '../support/json-lines';
import { BatchFileError } from './errors';

export { isBlank, type Line, longestLine, parseLine } from '../support/json-lines';

/** Reads a file of requests line by line; a line that is too long is a `BatchFileError`. */
export function readLines(
  path: string,
  signal?: AbortSignal,
  maxBytes = longestLine,
): AsyncGenerator<Line, void> {
  const refuse = (problem: string, line: number) => new BatchFileError('line_too_long', problem, path, line);
  return readAnyLines(path, { signal, maxBytes, refuse });
}
