import { readFile } from 'node:fs/promises';
import { ioError } from '../../checkpoint/files';
import { RND1Error } from '../../support/errors';
import { indexPath } from './token-writer';

/** Where the documents of a token file are: the file beside it that ends in .idx.json. */
export interface TokenIndex {
  readonly format: 1;
  /** Of the token file. */
  readonly tokens: number;
  /** Ids are below. */
  readonly vocabulary: number;
  /** SHA-256 of the tokenizer.json that made them. */
  readonly tokenizer: string;
  /** Where each document begins, ascending. */
  readonly documents: readonly number[];
  /** How many of each document's tokens are given, not learned. @default none */
  readonly prompts?: readonly number[];
}

/**
 * Reads the index of a token file; null if there is none.
 *
 * @throws RND1Error `invalid_data` for one that belongs to another file
 */
export async function readTokenIndex(tokenFile: string, tokens: number): Promise<TokenIndex | null> {
  const path = indexPath(tokenFile);
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw ioError(path, error);
  });
  if (text === null) return null;
  const wrong = (what: string) => new RND1Error('invalid_data', `${path}: ${what}`);
  let index: Partial<TokenIndex>;
  try {
    index = JSON.parse(text) as Partial<TokenIndex>;
  } catch (error) {
    throw wrong(`is not JSON: ${(error as Error).message}`);
  }
  const { format, documents, prompts } = index;
  if (format !== 1 || !Array.isArray(documents)) throw wrong('is not the index of a token file');
  if (index.tokens !== tokens)
    throw wrong(`is for a file of ${index.tokens} tokens, but ${tokenFile} has ${tokens}`);
  let previous = 0;
  for (const [i, start] of documents.entries()) {
    if (!Number.isSafeInteger(start) || start < previous || start > tokens || (i === 0 && start !== 0))
      throw wrong(`documents[${i}] is not the start of a document`);
    previous = start;
  }
  const counts = prompts === undefined || (Array.isArray(prompts) && prompts.length === documents.length);
  if (!counts || prompts?.some((prompt) => !Number.isSafeInteger(prompt) || prompt < 0))
    throw wrong('prompts are not one number for each document');
  return index as TokenIndex;
}
