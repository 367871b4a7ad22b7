import { STATUS_CODES } from 'node:http';
import { ApiError } from './errors';

/** The error of Node's HTTP parser for a request that it cannot read. */
export interface ParserError extends Error {
  readonly code?: string;
  /** llhttp's description. */
  readonly reason?: string;
  readonly rawPacket?: Buffer;
}

/** First byte of a TLS handshake. */
const tlsHandshake = 0x16;

/** The error response to a request that is not HTTP or is too large for the parser. */
export function asHttpError(error: ParserError): ApiError {
  if (error instanceof ApiError) return error;
  const { code, reason, rawPacket } = error;
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new ApiError(431, 'headers_too_large', 'the head of the request is too large');
  }
  if (code === 'HPE_CHUNK_EXTENSIONS_OVERFLOW') {
    return new ApiError(413, 'body_too_large', 'the extensions of the chunks are too large');
  }
  if (rawPacket?.[0] === tlsHandshake) {
    return new ApiError(400, 'invalid_http', 'this server speaks HTTP, not HTTPS');
  }
  return new ApiError(400, 'invalid_http', `this is not HTTP/1.1: ${reason ?? error.message}`);
}

/** A complete HTTP response, for connections whose request did not reach a route. */
export function rawAnswer(error: ApiError): string {
  const body = JSON.stringify({ error: error.body });
  const head = {
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
    date: new Date().toUTCString(),
    connection: 'close',
    ...error.headers,
  };
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}\r\n${lines.join('')}\r\n${body}`;
}
