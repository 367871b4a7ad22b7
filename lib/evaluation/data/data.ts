import { RND1Error } from '../../support/errors';
import { quote } from '../../support/validate';
import { nanoDocuments } from '../nano/documents';
import type { DataSplit, EvaluationDocument } from '../tasks/definition';
import { folderSource } from './folder';

/** Returns the documents of a split, in order; undefined if it has no such data set. */
export type DataSource = (split: DataSplit) => Promise<readonly EvaluationDocument[] | undefined>;

/** @throws TypeError for anything but a folder, a function or nothing */
export function openData(data: string | DataSource | undefined): DataSource {
  const read = sourceOf(data);
  return async (split) => nanoDocuments(split) ?? read(split);
}

function sourceOf(data: string | DataSource | undefined): DataSource {
  if (data === undefined) return async () => undefined;
  if (typeof data === 'function') return data;
  if (typeof data === 'string') return folderSource(data);
  throw new TypeError(`data must be a folder or a function, not ${quote(data)}`);
}

/** `openai/gsm8k, main, test` */
export const splitName = ({ repositories, config, split }: DataSplit) =>
  `${repositories.join(' or ')}, ${config}, ${split}`;

/** @throws RND1Error `invalid_data` if there is no such split, or no document in it */
export async function readSplit(data: DataSource, split: DataSplit): Promise<readonly EvaluationDocument[]> {
  const documents = await data(split);
  const name = splitName(split);
  if (documents === undefined) throw new RND1Error('invalid_data', `the data set ${name} is not there`);
  if (documents.length === 0) throw new RND1Error('invalid_data', `the data set ${name} is empty`);
  return documents;
}
