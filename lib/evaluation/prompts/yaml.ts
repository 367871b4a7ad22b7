import { parse } from 'yaml';
import { RND1Error } from '../../support/errors';
import { printableName } from '../../support/printable';
import { quote } from '../../support/validate';

/** A task file's keys. */
export type TaskFile = Readonly<Record<string, unknown>>;

/** What a task file writes as `!function utils.name`: a function of the file utils.py beside it. */
export class FunctionReference {
  constructor(readonly name: string) {}
}

/** @throws RND1Error `invalid_data` naming the file */
export function parseTaskFile(path: string, text: string): TaskFile {
  let value: unknown;
  try {
    value = parse(text, {
      // The harness reads YAML 1.1, in which a plain `yes` is true.
      version: '1.1',
      logLevel: 'error',
      customTags: [
        { tag: '!function', resolve: (name: string) => new FunctionReference(name), identify: () => false },
      ],
    });
  } catch (error) {
    throw new RND1Error('invalid_data', `${printableName(path)}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new RND1Error(
      'invalid_data',
      `${printableName(path)} must hold keys and values, not ${quote(value)}`,
    );
  return value as TaskFile;
}
