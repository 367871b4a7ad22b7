import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { askForBody } from './connections';
import { ApiError } from './errors';

/** Limit of nested lists and objects: no request needs more, and recursion is bounded. */
const depthLimit = 100;

function isDeep(body: unknown): boolean {
  let level: unknown[] = [body];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > depthLimit) return true;
    level = level.flatMap((value) =>
      typeof value === 'object' && value !== null ? Object.values(value) : [],
    );
  }
  return false;
}

/** Accepts bodies of JSON in UTF-8 only. */
export function addBodies(app: FastifyInstance, maxBytes: number): void {
  // Only JSON: a page of another origin cannot send it without a CORS preflight.
  app.removeAllContentTypeParsers();
  const parse = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', (request, payload, done) => {
    const parsed: typeof done = (error, body) => {
      if (error || !isDeep(body)) done(error, body);
      else done(new ApiError(400, 'invalid_value', `the body is nested more than ${depthLimit} deep`));
    };
    read(request, payload, maxBytes).then((text) => parse(request, text, parsed), done);
  });
}

/** The text of a body. A byte order mark before it is left to the parser, which skips it, as RFC 8259 allows. */
async function read(request: FastifyRequest, payload: IncomingMessage, maxBytes: number): Promise<string> {
  const { headers } = request;
  checkEncoding(headers['content-type'] ?? '', headers['content-encoding'] ?? 'identity');
  const declared = headers['content-length'] === undefined ? 0 : Number(headers['content-length']);
  if (declared > maxBytes) throw tooLarge(maxBytes);
  askForBody(request.raw);
  const bytes = await readBytes(payload, declared, maxBytes);
  if (!isUtf8(bytes)) throw new ApiError(400, 'invalid_utf8', 'the body is not UTF-8');
  return bytes.toString('utf8');
}

function checkEncoding(contentType: string, contentEncoding: string): void {
  const [, charset = 'utf-8'] = /;\s*charset\s*=\s*"?([^\s";]+)/i.exec(contentType) ?? [];
  const wrong = (what: string) => new ApiError(415, 'unsupported_media_type', what);
  if (!/^(utf-?8|us-ascii)$/i.test(charset)) throw wrong(`the body must be UTF-8, not ${charset}`);
  if (!/^identity$/i.test(contentEncoding)) {
    throw wrong(`the body must not be encoded, but its Content-Encoding is ${contentEncoding}`);
  }
}

/** Reads all bytes into one growing buffer: a list of chunks would cost more than the bytes if they arrive singly. */
async function readBytes(payload: IncomingMessage, declared: number, maxBytes: number): Promise<Buffer> {
  let buffer = Buffer.allocUnsafeSlow(Math.min(Math.max(declared, 256), 16_384, maxBytes));
  let length = 0;
  try {
    for await (const chunk of payload.iterator({ destroyOnReturn: false })) {
      const bytes = chunk as Buffer;
      if (length + bytes.length > maxBytes) throw tooLarge(maxBytes);
      if (length + bytes.length > buffer.length) {
        const larger = Buffer.allocUnsafeSlow(
          Math.min(maxBytes, Math.max(2 * buffer.length, length + bytes.length)),
        );
        buffer.copy(larger, 0, 0, length);
        buffer = larger;
      }
      length += bytes.copy(buffer, length);
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(400, 'incomplete_body', 'the body ended too early', { cause: error });
  }
  return buffer.subarray(0, length);
}

const tooLarge = (maxBytes: number) =>
  new ApiError(413, 'body_too_large', `the body is larger than ${maxBytes} bytes`);
