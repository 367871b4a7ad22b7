import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { LoadOptions } from '../../../lib/api/types';
import { DiffusionLM } from '../../../lib/index';
import { createServer, type Server, type ServerOptions } from '../../../lib/server';
import { nano } from '../diffusion-lm/nano-model';

export { until } from './until';

/*
 * A server on the fake addon of test/lib/nano-model, which a test file must enable itself:
 * `jest.mock('../../../lib/runtime/binding')`.
 */

/** A listening server and its model; both are closed after the test. */
export interface Served {
  readonly url: string;
  readonly server: Server;
  readonly model: DiffusionLM;
}

const open: Served[] = [];
const folders: string[] = [];

afterEach(async () => {
  for (const { server, model } of open.splice(0)) {
    await server.close();
    await model.dispose();
  }
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

export async function serve(
  options: ServerOptions = {},
  folder = nano,
  host = '127.0.0.1',
  loading: LoadOptions = {},
): Promise<Served> {
  const model = await DiffusionLM.load(folder, loading);
  const server = await createServer(model, {
    shutdownTimeout: 0,
    page: false,
    modelName: 'nano',
    ...options,
  });
  const served = { url: await server.listen({ port: 0, host }), server, model };
  open.push(served);
  return served;
}

/** A copy of the embedded model's folder with files added or replaced; deleted after the test. */
export function folderWith(files: Readonly<Record<string, object | string>>, inside = ''): string {
  const outer = mkdtempSync(join(tmpdir(), 'rnd1-served-'));
  folders.push(outer);
  const folder = join(outer, inside);
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(nano)) copyFileSync(join(nano, name), join(folder, name));
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    const text =
      typeof content === 'string'
        ? content
        : JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...content });
    writeFileSync(path, text);
  }
  return folder;
}

/** `POST` of JSON. */
export function post(url: string, body: unknown, init: RequestInit = {}): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...init,
    headers: { 'content-type': 'application/json', ...init.headers },
  });
}

/** An event of a stream; data that is JSON is parsed. */
export interface StreamEvent {
  readonly name: string | null;
  // biome-ignore lint/suspicious/noExplicitAny: matchers check the data
  readonly data: any;
}

export function eventsOf(text: string): StreamEvent[] {
  return text
    .split('\n\n')
    .filter((block) => block.includes('data: '))
    .map((block) => {
      const data = /^data: (.*)$/m.exec(block)?.[1] ?? '';
      return {
        name: /^event: (.*)$/m.exec(block)?.[1] ?? null,
        data: data === '[DONE]' ? data : JSON.parse(data),
      };
    });
}

/** A `POST` whose answer nobody reads until `resume`. */
export function postUnread(url: string, path: string, body: unknown): Socket {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  socket.pause().on('error', () => {});
  const text = JSON.stringify(body);
  socket.write(
    `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
  return socket;
}

/** A promise, `closed`, at which the fake session waits until `open` is called. */
export function gate(): { readonly closed: Promise<void>; open(): void } {
  let open = () => {};
  const closed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { closed, open };
}

/** Options of a logger, and the lines and entries that it has written. */
export function log() {
  let text = '';
  const stream = new Writable({
    write(chunk, _, done) {
      text += chunk;
      done();
    },
  });
  const lines = () => text.split('\n').filter((line) => line !== '');
  return { lines, entries: () => lines().map((line) => JSON.parse(line)), logger: { level: 'info', stream } };
}
