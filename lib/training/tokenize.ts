import { mkdir, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { ioError } from '../checkpoint/files';
import { RND1Error } from '../support/errors';
import { callbackOption, optionsObject, quote, signalOption, stringOption } from '../support/validate';
import { isTextFile } from './data/documents';
import { writeTokens } from './data/text-cache';
import { TextTokens } from './data/text-tokens';

/** How to tokenize. */
export interface TokenizeOptions {
  /** Folder of a checkpoint, whose tokenizer and chat template are used. */
  readonly tokenizer: string;
  /** The token file, ending in .bin; the index beside it ends in .idx.json. */
  readonly output: string;
  /** Called while files are read, with bytes of all of them. */
  readonly onProgress?: (progress: { readonly bytes: number; readonly totalBytes: number }) => void;
  /** When it aborts, tokenizing rejects with its reason, and nothing is left. @default none */
  readonly signal?: AbortSignal;
}

/** What was written. */
export interface TokenizeReport {
  /** The token file. */
  readonly path: string;
  /** In it. */
  readonly tokens: number;
  /** In it. */
  readonly documents: number;
}

/**
 * Writes texts (JSONL or plain) as a token file with an index of its documents.
 *
 * @throws RND1Error `invalid_data` naming file and line, `tokenizer_missing`, `invalid_checkpoint`, `io`
 */
export async function tokenize(files: readonly string[], given: TokenizeOptions): Promise<TokenizeReport> {
  if (!Array.isArray(files) || files.length === 0)
    throw new TypeError(`files must be an array of paths, not ${quote(files)}`);
  const options = optionsObject('options', given, {
    tokenizer: true,
    output: true,
    onProgress: true,
    signal: true,
  });
  const { onProgress } = options;
  callbackOption('onProgress', onProgress);
  const signal = signalOption(options.signal);
  const output = stringOption('output', options.output);
  if (!output.endsWith('.bin')) throw new RangeError(`output must end in .bin, not ${quote(output)}`);
  let totalBytes = 0;
  for (const file of files as readonly string[]) {
    const stats = await stat(stringOption('files[]', file)).catch((error) => {
      throw ioError(file, error);
    });
    if (!isTextFile(file))
      throw new RND1Error(
        'invalid_data',
        `${file} is no text by its name: .jsonl, .ndjson, .txt and .md are`,
      );
    totalBytes += stats.size;
  }
  const texts = await TextTokens.open(stringOption('tokenizer', options.tokenizer));
  try {
    const path = resolve(output);
    await mkdir(dirname(path), { recursive: true }).catch((error: Error) => {
      throw new RND1Error('io', `cannot write ${dirname(path)}: ${error.message}`, { cause: error });
    });
    let [before, current, last] = [0, '', 0];
    const onRead = (file: string, bytes: number) => {
      if (file !== current) [before, current] = [before + last, file];
      last = bytes;
      onProgress?.({ bytes: before + bytes, totalBytes });
    };
    return { path, ...(await writeTokens(files, path, texts, { signal, onRead })) };
  } finally {
    texts.close();
  }
}
