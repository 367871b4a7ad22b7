import type { IncomingMessage } from 'node:http';
import { Busboy, type BusboyInstance } from '@fastify/busboy';
import { askForBody, awaitMore } from './connections';
import { ApiError } from './errors';

/** Limits of a form besides the size of its file. */
const limits = {
  files: 1,
  fields: 16,
  fieldSize: 2 ** 12,
  fieldNameSize: 200,
  headerPairs: 32,
  headerSize: 2 ** 13,
};
/** Bytes after which a body that goes on arriving gets more time. */
const stretch = 2 ** 20;

/** A form, whose file has been passed on. */
export interface Form {
  readonly fields: ReadonlyMap<string, string>;
  /** Null: there was no file. */
  readonly filename: string | null;
}

/**
 * Reads a form of `multipart/form-data` with at most one file, in the field `file`, and passes on its bytes.
 *
 * @throws ApiError 400 for a body that is no such form, and what `onBytes` throws
 */
export async function readForm(
  payload: IncomingMessage,
  onBytes: (bytes: Uint8Array) => Promise<void>,
): Promise<Form> {
  const fields = new Map<string, string>();
  let filename: string | null = null;
  const parser = parserOf(payload);
  const { promise: failed, reject: fail } = withReject();
  const done = new Promise<void>((resolve) => parser.once('finish', resolve));
  let receiving = Promise.resolve();
  parser.on('field', (name, value, _, truncated) => {
    if (truncated || fields.has(name))
      fail(wrongForm(`the field ${JSON.stringify(name)} is too long or repeated`));
    fields.set(name, value);
  });
  parser.on('file', (field, stream, name) => {
    filename = name ?? '';
    if (field !== 'file')
      fail(wrongForm(`the file must be in the field 'file', not ${JSON.stringify(field)}`));
    receiving = (async () => {
      for await (const bytes of stream) await onBytes(bytes as Buffer);
    })();
    receiving.catch(fail);
  });
  parser.on('error', (error) => fail(wrongForm((error as Error).message)));
  parser.on('filesLimit', () => fail(wrongForm('the form has more than one file')));
  parser.on('fieldsLimit', () => fail(wrongForm('the form has too many fields')));
  try {
    askForBody(payload);
    await feed(payload, parser, failed);
    parser.end();
    await Promise.race([done.then(() => receiving), failed]);
    return { fields, filename };
  } finally {
    parser.destroy();
    // What is left of a refused body, so that the connection can go on.
    payload.resume();
  }
}

/** Passes a body to a parser, no faster than it takes it, until `failed` rejects. */
async function feed(payload: IncomingMessage, parser: BusboyInstance, failed: Promise<never>): Promise<void> {
  let arrived = 0;
  for await (const bytes of chunksOf(payload)) {
    if (Math.floor(arrived / stretch) < Math.floor((arrived + bytes.length) / stretch)) awaitMore(payload);
    arrived += bytes.length;
    await Promise.race([new Promise((resolve) => parser.write(bytes, resolve)), failed]);
  }
}

async function* chunksOf(payload: IncomingMessage): AsyncGenerator<Buffer, void> {
  try {
    yield* payload.iterator({ destroyOnReturn: false });
  } catch (error) {
    throw new ApiError(400, 'incomplete_body', 'the body ended too early', { cause: error });
  }
}

function parserOf({ headers }: IncomingMessage): BusboyInstance {
  const type = headers['content-type'] ?? '';
  if (!/^multipart\/form-data\b/i.test(type)) {
    throw new ApiError(415, 'unsupported_media_type', 'send multipart/form-data');
  }
  try {
    return new Busboy({ headers: { ...headers, 'content-type': type }, limits });
  } catch (error) {
    throw wrongForm((error as Error).message);
  }
}

const wrongForm = (problem: string) =>
  new ApiError(400, 'invalid_form', `the body is not a form with a file: ${problem}`);

function withReject(): { readonly promise: Promise<never>; reject(error: unknown): void } {
  let reject: (error: unknown) => void = () => {};
  const promise = new Promise<never>((_, fail) => {
    reject = fail;
  });
  // It may fail while nobody waits.
  promise.catch(() => {});
  return { promise, reject };
}
