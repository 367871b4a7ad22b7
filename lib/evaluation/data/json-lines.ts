import { readFile } from 'node:fs/promises';
import { RND1Error } from '../../support/errors';
import { printableName } from '../../support/printable';
import { quote } from '../../support/validate';
import type { EvaluationDocument } from '../tasks/definition';

/**
 * Reads one document a line. Only line feeds end lines; empty lines are passed over.
 *
 * @throws RND1Error `io`, or `invalid_data` naming the file and line
 */
export async function readJsonLines(path: string): Promise<EvaluationDocument[]> {
  const lines = (await readText(path)).split('\n');
  return lines.flatMap((line, i) => {
    if (line.trim() === '') return [];
    const place = `${printableName(path)}, line ${i + 1}`;
    const value = parse(line, place);
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new RND1Error('invalid_data', `${place}: must be an object, not ${quote(value)}`);
    return [value as EvaluationDocument];
  });
}

function parse(line: string, place: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new RND1Error('invalid_data', `${place}: ${(error as Error).message}`, { cause: error });
  }
}

/** The contents of a file. @throws RND1Error `io` */
export async function readBytes(path: string): Promise<Buffer> {
  return readFile(path).catch((error: Error) => {
    throw new RND1Error('io', `${printableName(path)} cannot be read: ${error.message}`, { cause: error });
  });
}

/** The text of a file in UTF-8. @throws RND1Error `io`, or `invalid_data` for other bytes */
export async function readText(path: string): Promise<string> {
  const bytes = await readBytes(path);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new RND1Error('invalid_data', `${printableName(path)} is not text in UTF-8`);
  }
}
