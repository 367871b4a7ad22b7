import { createHash } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { RND1Error } from '../../support/errors';
import { sha256Of } from '../hash-file';
import { documentsOf } from './documents';
import type { TextTokens } from './text-tokens';
import { TokenWriter } from './token-writer';

/** The folder of tokenized text, beside the text. */
const cacheName = '.rnd1-tokens';

/**
 * The token file of a text file: made once, and found again as long as neither the text nor what makes its tokens
 * changes.
 *
 * @throws RND1Error as `documentsOf`; `io` if the cache cannot be written, `invalid_data` for a text without tokens
 */
export async function tokenFileOf(
  path: string,
  texts: TextTokens,
  { cache, signal }: { readonly cache?: string; readonly signal?: AbortSignal } = {},
): Promise<string> {
  const folder = cache ?? join(dirname(path), cacheName);
  const key = createHash('sha256')
    .update(texts.fingerprint)
    .update(await sha256Of(path, signal));
  const target = join(folder, `${basename(path)}-${key.digest('hex').slice(0, 16)}.bin`);
  if ((await stat(target).catch(() => null))?.isFile()) return target;
  await mkdir(folder, { recursive: true }).catch((error: Error) => {
    throw new RND1Error('io', `cannot write ${folder}: ${error.message}; cache names another folder`, {
      cause: error,
    });
  });
  await writeTokens([path], target, texts, { signal });
  return target;
}

/** Tokenizes files into one token file with an index, and returns what was written. */
export async function writeTokens(
  paths: readonly string[],
  target: string,
  texts: TextTokens,
  {
    signal,
    onRead,
  }: { readonly signal?: AbortSignal; readonly onRead?: (path: string, bytes: number) => void } = {},
): Promise<{ readonly tokens: number; readonly documents: number }> {
  const writer = await TokenWriter.create(target, texts.vocabulary <= 65_536 ? 2 : 4);
  try {
    for (const path of paths)
      for await (const { tokens, prompt } of documentsOf(path, texts, {
        signal,
        onRead: (bytes) => onRead?.(path, bytes),
      }))
        await writer.add(tokens, prompt);
    signal?.throwIfAborted();
    if (writer.count === 0) throw new RND1Error('invalid_data', `${paths.join(', ')}: there is no text`);
    await writer.finish({ vocabulary: texts.vocabulary, tokenizer: texts.fingerprint });
  } catch (error) {
    await writer.abandon();
    throw error;
  }
  return { tokens: writer.count, documents: writer.documents };
}
