import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A hub that answers as a test wants, at HF_ENDPOINT until the test ends. */
export class HostileHub {
  answer: (request: IncomingMessage, response: ServerResponse) => void = () => {};
  /** Paths and `Authorization` of all requests. */
  readonly requests: { readonly url: string; readonly authorization: string | undefined }[] = [];
  readonly #server: Server = createServer((request, response) => {
    const { url = '', headers } = request;
    this.requests.push({ url, authorization: headers.authorization });
    this.answer(request, response);
  });

  constructor() {
    beforeAll(() => new Promise<void>((done) => void this.#server.listen(0, '127.0.0.1', done)));
    beforeEach(() => {
      this.requests.length = 0;
      process.env.HF_ENDPOINT = this.url;
    });
    afterAll(() => {
      this.#server.closeAllConnections();
      this.#server.close();
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }
}

/** Writes the same bytes for ever, as fast as they are read; returns how many have been written so far. */
export function writeForEver(response: ServerResponse, block = Buffer.alloc(1 << 16, 'a')): () => number {
  let bytes = 0;
  const more = () => {
    while (!response.destroyed) {
      bytes += block.length;
      if (!response.write(block)) break;
    }
  };
  response.on('drain', more);
  more();
  return () => bytes;
}

/** Writes a few bytes from time to time, for ever. */
export function drip(response: ServerResponse, bytes: number): void {
  const timer = setInterval(() => response.write(' '.repeat(bytes)), 20);
  response.on('close', () => clearInterval(timer));
}
