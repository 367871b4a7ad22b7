import { setTimeout as wait } from 'node:timers/promises';
import { networkOf } from '../../../lib/server/clients';
import { sessionOf } from '../diffusion-lm/nano-model';
import { answerIn, open, request, say } from './raw';
import { gate, post, postUnread, serve, until } from './served';

jest.mock('../../../lib/runtime/binding');

describe('bodies', () => {
  const headers = { 'content-type': 'application/json' };
  const ask = async (url: string, body: string | Buffer, more: Record<string, string> = {}) => {
    const init = { method: 'POST', headers: { ...headers, ...more }, body };
    const response = await fetch(`${url}/v1/completions`, init);
    const { error } = (await response.json()) as { error?: { code: string; message: string } };
    return error === undefined ? response.status : [response.status, error.code];
  };
  const prompt = (bytes: number[]) =>
    Buffer.concat([Buffer.from('{"max_tokens": 1, "prompt": "'), Buffer.from(bytes), Buffer.from('"}')]);

  test('are UTF-8, with or without a byte order mark', async () => {
    const { url } = await serve();
    expect(await ask(url, prompt([0xc3, 0xa4, 0xf0, 0x9f, 0x98, 0x80]))).toBe(200);
    expect(await ask(url, Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), prompt([0x61])]))).toBe(200);
    const wrong = [[0xff], [0xc0, 0x80], [0xc3], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80]];
    for (const bytes of wrong) expect(await ask(url, prompt(bytes))).toEqual([400, 'invalid_utf8']);
    const utf16 = Buffer.from('\ufeff{"prompt": "a"}', 'utf16le');
    expect(await ask(url, utf16)).toEqual([400, 'invalid_utf8']);
    const { error } = (await (
      await fetch(`${url}/v1/completions`, { method: 'POST', headers, body: Buffer.from([0xff]) })
    ).json()) as { error: object };
    expect(error).toMatchObject({ message: 'the body is not UTF-8', type: 'invalid_request_error' });
  });

  test('may nest 100 deep', async () => {
    const { url } = await serve();
    const nested = (depth: number) =>
      `{"prompt": "a", "max_tokens": 1, "metadata": ${'['.repeat(depth)}${']'.repeat(depth)}}`;
    expect(await ask(url, nested(90))).not.toBe(500);
    for (const depth of [120, 5000, 100_000])
      expect(await ask(url, nested(depth))).toEqual([400, 'invalid_value']);
  });

  test('say so where they are anything else', async () => {
    const { url } = await serve();
    const type = (value: string) => ({ 'content-type': value });
    for (const charset of ['utf-8', 'UTF8', '"utf-8"', 'us-ascii'])
      expect(await ask(url, prompt([0x61]), type(`application/json; charset=${charset}`))).toBe(200);
    const unsupported = [415, 'unsupported_media_type'];
    expect(await ask(url, prompt([0x61]), type('application/json; charset=utf-16'))).toEqual(unsupported);
    expect(await ask(url, prompt([0x61]), { 'content-encoding': 'gzip' })).toEqual(unsupported);
    expect(await ask(url, 'a=b', type('application/x-www-form-urlencoded'))).toEqual(unsupported);
    expect(await ask(url, '', {})).toEqual([400, 'invalid_json']);
    expect(await ask(url, '{"__proto__": {"prompt": "a"}}')).toEqual([400, 'invalid_json']);
  });

  test('are read up to their limit, in pieces of any size', async () => {
    const { url } = await serve({ maxBodyBytes: 2000 });
    const text = JSON.stringify({ prompt: 'a', user: 'b'.repeat(1900), max_tokens: 1 });
    const chunks = (size: number) =>
      text
        .match(new RegExp(`.{1,${size}}`, 'g'))
        ?.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`)
        .join('');
    const chunked = {
      'content-type': 'application/json',
      'transfer-encoding': 'chunked',
      connection: 'close',
    };
    const send = (body: string) => say(url, request('POST /v1/completions', chunked, body)).then(answerIn);
    for (const size of [1, 7, 512, 1950]) expect((await send(`${chunks(size)}0\r\n\r\n`)).status).toBe(200);
    // Refused before its end was sent.
    expect(await send(`7d0\r\n${'a'.repeat(2000)}\r\n1\r\nb\r\n`)).toMatchObject({
      status: 413,
      headers: { connection: 'close' },
      error: { code: 'body_too_large', message: 'the body is larger than 2000 bytes' },
    });
  });

  test('are asked for where a client waits for that, unless they are too large', async () => {
    const { url } = await serve({ maxBodyBytes: 100 });
    const body = '{"prompt": "a", "max_tokens": 1}';
    const expecting = (length: number) =>
      request('POST /v1/completions', { ...headers, expect: '100-continue', 'content-length': length });
    const { socket, received } = open(url, expecting(body.length));
    await until(() => received().startsWith('HTTP/1.1 100 Continue\r\n\r\n'));
    socket.write(body);
    await until(() => received().includes('HTTP/1.1 200 OK'));
    socket.destroy();
    expect(await say(url, expecting(101))).toMatch(/^HTTP\/1\.1 413 /);
  });
});

test('paths and methods that are not there are told apart', async () => {
  const { url } = await serve();
  const ask = async (method: string, path: string) => {
    const { status, headers, error } = answerIn(
      await say(url, request(`${method} ${path}`, { connection: 'close' })),
    );
    return [status, error?.code, headers.allow];
  };
  expect(await ask('GET', '/v1/completions')).toEqual([405, 'method_not_allowed', 'POST']);
  expect(await ask('DELETE', '/v1/models/nano')).toEqual([405, 'method_not_allowed', 'GET, HEAD']);
  expect(await ask('PROPFIND', '/healthz')).toEqual([405, 'method_not_allowed', 'GET, HEAD']);
  expect(await ask('OPTIONS', '/healthz')).toEqual([405, 'method_not_allowed', 'GET, HEAD']);
  for (const path of ['/v1/nothing', '/v1/models/a/b', '/v1/completions/', '//healthz', '/V1/models', '*'])
    expect([path, ...(await ask('GET', path))]).toEqual([path, 404, 'not_found', undefined]);
  expect(await ask('GET', '/%')).toEqual([400, 'invalid_url', undefined]);
  expect(await ask('GET', `/v1/models/${'a'.repeat(300)}`)).toEqual([414, 'invalid_url', undefined]);
});

test('the document is made once', async () => {
  const { url, server } = await serve();
  const made = jest.spyOn(server.app, 'swagger');
  const texts = [];
  for (let i = 0; i < 3; i++) texts.push(await (await fetch(`${url}/openapi.json`)).text());
  expect(new Set(texts).size).toBe(1);
  expect(made.mock.calls.length).toBeLessThanOrEqual(1);
});

describe('clients', () => {
  const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });

  test('with keys have limits of their own, in canvases and in requests', async () => {
    const { url } = await serve({ apiKeys: ['one', 'two'], maxPerClient: 2 });
    const held = gate();
    sessionOf().beforeResult = () => held.closed;
    const body = { prompt: 'a', max_tokens: 1 };
    const ask = (key: string, fields = {}) =>
      post(`${url}/v1/completions`, { ...body, ...fields }, bearer(key));
    const codeOf = async (response: Response) =>
      ((await response.json()) as { error: { code: string } }).error.code;
    const greedy = ask('one', { n: 2 });
    await until(() => sessionOf().batches.length === 1);
    const refused = await ask('one');
    expect([refused.status, await codeOf(refused)]).toEqual([429, 'too_many_for_client']);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
    const many = await ask('two', { n: 3 });
    expect(await codeOf(many)).toBe('too_many_canvases');
    const other = ask('two', { prompt: ['a', 'b'] });
    await wait(50);
    held.open();
    expect([(await greedy).status, (await other).status]).toEqual([200, 200]);
    expect((await ask('one')).status).toBe(200);
  });

  test('without keys are told apart by their address', async () => {
    const { url } = await serve({ maxPerClient: 1 });
    const held = gate();
    sessionOf().beforeResult = () => held.closed;
    const body = JSON.stringify({ prompt: 'a', max_tokens: 1 });
    const text = request(
      'POST /v1/completions',
      { 'content-type': 'application/json', 'content-length': body.length, connection: 'close' },
      body,
    );
    const first = say(url, text);
    await until(() => sessionOf().batches.length === 1);
    expect(answerIn(await say(url, text)).status).toBe(429);
    const elsewhere = open(url, text, '127.0.0.2');
    await wait(50);
    held.open();
    await elsewhere.closed;
    expect([answerIn(await first).status, answerIn(elsewhere.received()).status]).toEqual([200, 200]);
  });

  test('of one network are one', () => {
    expect(networkOf('127.0.0.1')).toBe('127.0.0.1');
    expect(networkOf('::ffff:127.0.0.1')).toBe('127.0.0.1');
    expect(networkOf('2001:db8:1:2:3:4:5:6')).toBe('2001:db8:1:2::/64');
    expect(networkOf('2001:db8::6%eth0')).toBe('2001:db8:0:0::/64');
    expect(networkOf('::1')).toBe('0:0:0:0::/64');
    expect(networkOf('1:2:3:4:5::')).toBe('1:2:3:4::/64');
  });
});

describe('closing whatever clients do', () => {
  test('does not wait for heads, bodies and answers that do not come or are not read', async () => {
    const { url, server } = await serve({ shutdownTimeout: 0.5, stallTimeout: 100 });
    sessionOf().beforeResult = () => gate().closed;
    const headers = { 'content-type': 'application/json', 'content-length': 100 };
    const idle = [open(url), open(url, 'GET /healthz HT'), open(url, request('GET /healthz'))];
    const half = open(url, request('POST /v1/completions', headers, '{"prompt": '));
    const unread = [
      open(url, request('GET /openapi.json').repeat(2000)),
      postUnread(url, '/v1/denoise', { length: 200, prefix: 'a' }),
      postUnread(url, '/v1/completions', { prompt: 'a' }),
    ];
    for (const each of unread) ('socket' in each ? each.socket : each).pause();
    await until(async () =>
      (await (await fetch(`${url}/metrics`)).text()).includes('rnd1_running_canvases 2\n'),
    );
    // Until one of the responses is stuck.
    const answered = async () =>
      /openapi\.json",status="200"} (\d+)/.exec(await (await fetch(`${url}/metrics`)).text())?.[1];
    let before: string | undefined = 'none';
    await until(async () => {
      await wait(200);
      const now = await answered();
      const stuck = now === before;
      before = now;
      return stuck;
    });
    const start = performance.now();
    await server.close();
    // Half a second, and one for the final error; the stall timeout would take a minute.
    expect(performance.now() - start).toBeLessThan(20_000);
    await Promise.all([...idle, half].map(({ closed }) => closed));
    expect(answerIn(half.received())).toMatchObject({ status: 503, error: { code: 'shutting_down' } });
    for (const each of unread) ('socket' in each ? each.socket : each).destroy();
  });

  test('ends connections that a stream has kept open', async () => {
    const { url, server } = await serve({ shutdownTimeout: 60 });
    const held = gate();
    sessionOf().beforeResult = () => held.closed;
    const body = JSON.stringify({ length: 3, prefix: 'a' });
    const headers = { 'content-type': 'application/json', 'content-length': body.length };
    const { received, closed } = open(url, request('POST /v1/denoise', headers, body));
    await until(() => received().includes('event: start'));
    const start = performance.now();
    const closing = server.close();
    held.open();
    await Promise.all([closing, closed]);
    expect(performance.now() - start).toBeLessThan(20_000);
    expect(received().match(/event: (start|end)/g)).toEqual(['event: start', 'event: end']);
  });

  test('answers requests that run, and takes no more on their connections', async () => {
    const { url, server } = await serve({ shutdownTimeout: 30 });
    const held = gate();
    sessionOf().beforeResult = () => held.closed;
    const body = JSON.stringify({ prompt: 'a', max_tokens: 1 });
    const text = request(
      'POST /v1/completions',
      { 'content-type': 'application/json', 'content-length': body.length },
      body,
    );
    const { received, closed } = open(url, text + text);
    await until(() => sessionOf().batches.length === 1);
    const closing = server.close();
    held.open();
    await Promise.all([closing, closed]);
    expect(received().match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200']);
    expect(answerIn(received()).headers.connection).toBe('close');
  });
});
