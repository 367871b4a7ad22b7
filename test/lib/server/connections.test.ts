import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { type ConnectionLimits, Connections } from '../../../lib/server/connections';
import { answerIn, open, request, say } from './raw';
import { until } from './served';

jest.mock('../../../lib/runtime/binding');

const servers: { readonly connections: Connections; readonly server: Server }[] = [];

afterEach(async () => {
  for (const { connections, server } of servers.splice(0)) {
    connections.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** A server with this request handler. */
async function listen(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
  limits: Partial<ConnectionLimits> = {},
) {
  const connections = new Connections({ maxConnections: 100, stallTimeout: 60, ...limits });
  const server = connections.serve(handler);
  server.on('clientError', connections.onClientError);
  servers.push({ connections, server });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { connections, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const get = (path: string) => request(`GET ${path}`);
const count = (text: string, part: string) => text.split(part).length - 1;

describe('requests of one connection', () => {
  test('are answered one at a time, in order, however many come at once', async () => {
    let running = 0;
    let max = 0;
    const { url } = await listen(async ({ url: path }, response) => {
      running++;
      max = Math.max(max, running);
      await wait(Number(path?.slice(1)) % 3);
      response.end(`<${path}>`);
      running--;
    });
    const paths = Array.from({ length: 300 }, (_, i) => `/${i}`);
    const { socket, received } = open(url, paths.map(get).join(''));
    await until(() => received().includes('</299>'));
    expect(received().match(/<[^>]*>/g)).toEqual(paths.map((path) => `<${path}>`));
    expect(max).toBe(1);
    socket.destroy();
  });

  test('come with bodies of any size between them', async () => {
    const { url } = await listen(async (message, response) => {
      let length = 0;
      for await (const chunk of message) length += (chunk as Buffer).length;
      response.end(`<${length}>`);
    });
    const sizes = [0, 1, 511, 512, 513, 100_000, 3, 65_536, 2];
    const text = sizes.map((size) => request('POST /', { 'content-length': size }, 'a'.repeat(size)));
    const { socket, received } = open(url, text.join(''));
    await until(() => received().includes('<2>'));
    expect(received().match(/<\d+>/g)).toEqual(sizes.map((size) => `<${size}>`));
    socket.destroy();
  });

  test('wait unread while an answer is not taken, and the connection is closed for it', async () => {
    let handled = 0;
    let parsed = 0;
    const { url, connections, server } = await listen(
      (_, response) => {
        handled++;
        response.end(Buffer.alloc(2 ** 20));
      },
      { stallTimeout: 1 },
    );
    server.on('request', () => parsed++);
    const { socket } = open(url);
    socket.pause();
    let sent = 0;
    // Until its operating system accepts no more of them.
    const flood = get('/').repeat(1000);
    while (sent < 1000 && socket.write(flood)) sent++;
    await until(() => handled > 0);
    await connections.empty();
    // Some answers fill the buffers of both operating systems.
    expect(handled).toBeLessThan(50);
    expect(parsed - handled).toBeLessThan(50);
    socket.destroy();
  });

  test('that never let it rest are answered for a while only: a backlog ends with the answer that is due', async () => {
    const { url } = await listen((_, response) => setTimeout(() => response.end('fine'), 50), {
      stallTimeout: 0.5,
    });
    const text = await say(url, get('/').repeat(300));
    expect(count(text, 'fine')).toBeGreaterThan(1);
    expect(count(text, 'fine')).toBeLessThan(100);
    expect(text.endsWith('fine')).toBe(true);
  });
});

describe('what takes too long', () => {
  const limits = { stallTimeout: 0.3 };
  const never = () => {};

  test.each([
    ['a head', 'GET / HTTP/1.1\r\nhost: loc'],
    ['a body', request('POST /', { 'content-length': 10 }, 'abc')],
    ['a chunk', request('POST /', { 'transfer-encoding': 'chunked' }, '5\r\nabc')],
  ])('%s that does not end is answered with 408', async (_, text) => {
    const { url } = await listen(never, limits);
    const { status, error, headers } = answerIn(await say(url, text));
    expect(status).toBe(408);
    expect(headers.connection).toBe('close');
    expect(error).toMatchObject({ code: 'request_timeout', type: 'invalid_request_error', param: null });
  });

  test.each([
    ['a head', 'GET / HTTP/1.1\r\nhost: ', 'a'],
    ['a body', request('POST /', { 'content-length': 1000 }), 'a'],
    ['the space before a request', '\r\n', '\r\n'],
  ])('%s that comes byte by byte ends too', async (_, start, byte) => {
    const { url } = await listen(never, limits);
    const { socket, closed } = open(url, start);
    const drip = setInterval(() => socket.write(byte), 20);
    await closed;
    clearInterval(drip);
  });

  test('connections without a request are closed, new ones and used ones', async () => {
    const { url } = await listen((_, response) => response.end('x'), limits);
    await open(url).closed;
    await open(url, get('/')).closed;
    const half = open(url, get('/'));
    await until(() => half.received() !== '');
    await wait(100);
    half.socket.write('GET / HT');
    await half.closed;
    expect(half.received()).toMatch(/^HTTP\/1\.1 200 .*HTTP\/1\.1 408 /s);
  });

  test('an answer that is being computed is left its time, also where more has been sent', async () => {
    const { url } = await listen((_, response) => setTimeout(() => response.end('late'), 900), limits);
    expect(await say(url, request('GET /', { connection: 'close' }))).toContain('late');
    expect(await say(url, `${get('/')}GET / HTTP/1.1\r\nhost: `)).toContain('late');
  });
});

describe('more connections than there may be', () => {
  test('take the place of those that do nothing, the oldest first', async () => {
    const { url } = await listen((_, response) => response.end('x'), { maxConnections: 2 });
    const idle = open(url, get('/'));
    await until(() => idle.received() !== '');
    const half = open(url, 'GET / HT');
    await wait(50);
    const third = open(url, get('/'));
    await idle.closed;
    await until(() => third.received() !== '');
    half.socket.write('TP/1.1\r\nhost: localhost\r\n\r\n');
    await until(() => half.received() !== '');
  });

  test('are told so where all work', async () => {
    const responses: ServerResponse[] = [];
    const { url, connections } = await listen((_, response) => responses.push(response), {
      maxConnections: 2,
    });
    const working = [open(url, get('/')), open(url, get('/'))];
    await until(() => responses.length === 2);
    const { status, error } = answerIn(await say(url, get('/')));
    expect(status).toBe(503);
    expect(error).toMatchObject({ code: 'too_many_connections', type: 'server_error' });
    // The number of connections does not matter.
    const others = Array.from({ length: 200 }, () => open(url, get('/').repeat(50)));
    await Promise.all(others.map(({ closed }) => closed));
    expect(responses).toHaveLength(2);
    for (const response of responses) response.end('done');
    await until(() => working.every(({ received }) => received().includes('done')));
    connections.destroy();
  });
});

describe('what is not HTTP', () => {
  test.each([
    ['words', 'hello\r\n\r\n', 400, 'invalid_http'],
    ['TLS', '\x16\x03\x01\x02\x00\x01', 400, 'invalid_http'],
    [
      'a chunk that is not as long as it says',
      request('POST /', { 'transfer-encoding': 'chunked' }, '2\r\nabc\r\n0\r\n\r\n'),
      400,
      'invalid_http',
    ],
    [
      'two lengths',
      request('POST /', { 'content-length': 2, 'Content-Length': 3 }, 'abc'),
      400,
      'invalid_http',
    ],
    ['a long head', request('GET /', { a: 'b'.repeat(20_000) }), 431, 'headers_too_large'],
    ['a long target', get(`/${'a'.repeat(20_000)}`), 431, 'headers_too_large'],
    ['many headers', `GET / HTTP/1.1\r\nhost: a\r\n${'a:\r\n'.repeat(400)}\r\n`, 431, 'headers_too_large'],
    [
      'long chunk extensions',
      request('POST /', { 'transfer-encoding': 'chunked' }, `1;${'a'.repeat(20_000)}\r\nb\r\n`),
      413,
      'body_too_large',
    ],
    ['an expectation', request('GET /', { expect: 'a miracle' }), 417, 'expectation_failed'],
    ['CONNECT', request('CONNECT evil.example:443'), 405, 'method_not_allowed'],
  ])('%s is answered with an error in the shape of all others', async (_, text, status, code) => {
    const { url } = await listen((message, response) => {
      message.on('error', () => {}).on('end', () => response.end('fine'));
      message.resume();
    });
    const answer = answerIn(await say(url, text));
    expect(answer.status).toBe(status);
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(Object.keys(answer.error ?? {}).sort()).toEqual(['code', 'message', 'param', 'type']);
    expect(answer.error?.code).toBe(code);
  });

  test('behind a request waits until that one is answered', async () => {
    const { url } = await listen((_, response) => setTimeout(() => response.end('fine'), 50));
    const text = await say(url, `${get('/')}${get('/')}hello\r\n\r\n${get('/')}`);
    expect(count(text, 'fine')).toBe(2);
    expect(text).toMatch(/fine.*fine.*400 Bad Request.*invalid_http/s);
  });

  test('a client that ends a tunnel or a request by force harms nobody', async () => {
    const { url } = await listen((_, response) => response.end('fine'));
    for (const text of [request('CONNECT a:1'), request('POST /', { 'content-length': 9 }, 'a'), 'GET /']) {
      const { socket } = open(url, text);
      await wait(20);
      socket.resetAndDestroy();
    }
    const upgrade = request('GET /', { connection: 'upgrade', upgrade: 'websocket' });
    const { received, socket } = open(url, upgrade);
    await until(() => received().includes('fine'));
    socket.destroy();
  });
});
