import { RND1Error } from '../../support/errors';
import { printableName } from '../../support/printable';
import type { EvaluationDocument } from '../tasks/definition';
import { readBytes } from './json-lines';

/**
 * Reads the rows of a Parquet file, as the hub holds data sets. Integers of 64 bits become numbers.
 *
 * @throws RND1Error `io`, or `invalid_data` naming the file
 */
export async function readParquet(path: string): Promise<EvaluationDocument[]> {
  const bytes = await readBytes(path);
  const { parquetReadObjects } = await import('hyparquet');
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
  try {
    const rows: EvaluationDocument[] = await parquetReadObjects({ file });
    return rows.map((row) => plain(row, path) as EvaluationDocument);
  } catch (error) {
    if (error instanceof RND1Error) throw error;
    throw new RND1Error(
      'invalid_data',
      `${printableName(path)} is no Parquet file that can be read: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

/** As JSON would hold it. */
function plain(value: unknown, path: string): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value);
    if (Number.isSafeInteger(number)) return number;
    throw new RND1Error('invalid_data', `${printableName(path)}: ${value} is more than a number holds`);
  }
  if (Array.isArray(value) || ArrayBuffer.isView(value))
    return Array.from(value as ArrayLike<unknown>, (each) => plain(each, path));
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plain(each, path)]));
}
