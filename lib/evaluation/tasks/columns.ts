import { RND1Error } from '../../support/errors';
import { quote } from '../../support/validate';
import { pythonText } from '../python/format';
import { parsePythonLiteral } from '../python/literal';
import { type PythonValue, plainValue } from '../python/values';
import type { EvaluationDocument, Target } from './definition';

/** @throws RND1Error `invalid_data` naming the column */
export function textColumn(document: EvaluationDocument, column: string): string {
  const value = document[column];
  if (typeof value !== 'string') throw wrongColumn(column, 'a text', value);
  return value;
}

/** @throws RND1Error `invalid_data` naming the column, unless it holds at least `atLeast` texts */
export function textsColumn(
  document: EvaluationDocument,
  column: string,
  atLeast: number,
): readonly string[] {
  const value = document[column];
  if (!Array.isArray(value) || value.length < atLeast || value.some((item) => typeof item !== 'string'))
    throw wrongColumn(column, `a list of ${atLeast} texts or more`, value);
  return value;
}

/** @throws RND1Error `invalid_data` naming the column */
export function indexColumn(document: EvaluationDocument, column: string, limit: number): number {
  const value = typeof document[column] === 'bigint' ? Number(document[column]) : document[column];
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) >= limit)
    throw wrongColumn(column, `an integer from 0 to ${limit - 1}`, value);
  return value as number;
}

export const wrongColumn = (column: string, wanted: string, value: unknown) =>
  new RND1Error('invalid_data', `the column ${column} must be ${wanted}, not ${quote(value)}`);

/**
 * A target that a template has written: text in brackets is a Python literal if it is one, as harnesses in Python read
 * it. `pythonText` of it is what an answer is compared with.
 */
export function renderedTarget(text: string): Target {
  return plainValue(readRendered(text));
}

/** The text that an answer is compared with. */
export const targetText = (text: string): string => pythonText(readRendered(text));

function readRendered(text: string): PythonValue {
  if (text.length < 2 || !text.startsWith('[') || !text.endsWith(']')) return text;
  try {
    return parsePythonLiteral(text);
  } catch (error) {
    if (error instanceof SyntaxError) return text;
    throw error;
  }
}
