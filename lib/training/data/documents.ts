import { stat } from 'node:fs/promises';
import { extname } from 'node:path';
import type { TemplateMessage } from '../../chat/chat-template';
import { ioError, withFile } from '../../checkpoint/files';
import { RND1Error } from '../../support/errors';
import { isBlank, parseLine, readLines } from '../../support/json-lines';
import { printableName } from '../../support/printable';
import { quote } from '../../support/validate';
import type { DocumentTokens, TextTokens } from './text-tokens';

/** Bytes of the longest line, and of the largest text file. */
const longest = 2 ** 28;

/** Whether a file holds text, by its name: JSONL, or plain text. */
export function isTextFile(path: string): boolean {
  return ['.jsonl', '.ndjson', '.txt', '.md'].includes(extname(path).toLowerCase());
}

/** How far a file has been read. */
export type ReadProgress = (bytes: number) => void;

/**
 * The documents of a text file: of JSONL, a line each with `text`, `prompt` and `completion`, or `messages`; of other
 * files the whole.
 *
 * @throws RND1Error `invalid_data` naming file and line, `io`, `chat_template_failed`
 */
export async function* documentsOf(
  path: string,
  texts: TextTokens,
  { signal, onRead }: { readonly signal?: AbortSignal; readonly onRead?: ReadProgress } = {},
): AsyncGenerator<DocumentTokens, void, void> {
  if (!['.jsonl', '.ndjson'].includes(extname(path).toLowerCase())) {
    yield texts.document(await wholeText(path));
    return;
  }
  for await (const line of readLines(path, { signal, maxBytes: longest })) {
    onRead?.(line.end);
    if (isBlank(line.bytes)) continue;
    const place = `${printableName(path)}, line ${line.number}`;
    const value = parseLine(line.bytes);
    if (value === undefined) throw new RND1Error('invalid_data', `${place}: is not JSON in UTF-8`);
    yield await documentOf(value, place, texts, signal);
  }
}

const forms = '{"text"}, {"prompt", "completion"} or {"messages"}';

async function documentOf(
  value: unknown,
  place: string,
  texts: TextTokens,
  signal: AbortSignal | undefined,
): Promise<DocumentTokens> {
  const wrong = (what: string) => new RND1Error('invalid_data', `${place}: ${what}`);
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw wrong(`must be an object, ${forms}, not ${quote(value)}`);
  const { text, prompt, completion, messages } = value as Record<string, unknown>;
  const given = [text, prompt ?? completion, messages].filter((field) => field !== undefined);
  if (given.length !== 1)
    throw wrong(`must have the fields of one of ${forms}, not ${quote(Object.keys(value))}`);
  const string = (name: string, field: unknown) => {
    if (typeof field !== 'string') throw wrong(`${name} must be a string, not ${quote(field)}`);
    return field;
  };
  if (text !== undefined) return texts.document(string('text', text));
  if (messages === undefined)
    return texts.completion(string('prompt', prompt), string('completion', completion));
  if (!Array.isArray(messages) || messages.length < 2)
    throw wrong('messages must be two or more, the last one of the assistant');
  for (const [i, message] of messages.entries()) {
    if (typeof message !== 'object' || message === null) throw wrong(`messages[${i}] must be an object`);
    string(`messages[${i}].role`, message.role);
    string(`messages[${i}].content`, message.content);
  }
  if (messages.at(-1).role !== 'assistant')
    throw wrong(
      `the last message is what is learned: its role must be 'assistant', not ${quote(messages.at(-1).role)}`,
    );
  return texts.conversation(messages as TemplateMessage[], signal).catch((error: unknown) => {
    const code = error instanceof RND1Error ? error.code : 'invalid_data';
    throw new RND1Error(code, `${place}: ${(error as Error).message}`, { cause: error });
  });
}

async function wholeText(path: string): Promise<string> {
  const { size } = await stat(path).catch((error) => {
    throw ioError(path, error);
  });
  if (size > longest)
    throw new RND1Error('invalid_data', `${path} is larger than ${longest} bytes: divide it, or use JSONL`);
  const bytes = await withFile(path, (handle) => handle.readFile());
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new RND1Error('invalid_data', `${path} is not text in UTF-8`);
  }
}
