import { printableMessage } from '../support/printable';

/** What is wrong with a line, in the codes of OpenAI's `errors` of a batch. */
export type LineProblem =
  | 'invalid_json_line'
  | 'missing_required_parameter'
  | 'invalid_custom_id'
  | 'duplicate_custom_id'
  | 'invalid_method'
  | 'invalid_url'
  | 'mismatched_url'
  | 'invalid_body'
  | 'line_too_long'
  | 'too_many_lines'
  | 'empty_file'
  | 'changed_line';

/** A file of a batch that cannot be used. Nothing of the batch is computed. */
export class BatchFileError extends Error {
  override readonly name = 'BatchFileError';

  constructor(
    readonly code: LineProblem,
    /** What is wrong, without the place. */
    readonly problem: string,
    readonly path: string,
    /** From 1; null: the whole file. */
    readonly line: number | null,
    /** The field at fault. */
    readonly param: string | null = null,
  ) {
    const place = line === null ? path : `${path}, line ${line}`;
    super(printableMessage(`${place}: ${problem}`));
  }
}
