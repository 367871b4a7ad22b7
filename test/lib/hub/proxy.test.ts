import { createServer, type IncomingHttpHeaders, request } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { proxyFor, proxySecrets } from '../../../lib/hub/proxy';
import { download, firstShard, rejection, Workbench } from './workbench';

describe('which proxy is taken', () => {
  const hub = 'https://huggingface.co/a/b';
  const taken = (environment: Record<string, string>, address = hub) =>
    proxyFor(new URL(address), environment)?.url ?? null;

  test.each<[string, Record<string, string>, string, string | null]>([
    ['none', {}, hub, null],
    ['that of the scheme', { HTTPS_PROXY: 'http://a:1', HTTP_PROXY: 'http://b:2' }, hub, 'http://a:1'],
    [
      'that of the other scheme',
      { HTTPS_PROXY: 'http://a:1', HTTP_PROXY: 'http://b:2' },
      'http://x',
      'http://b:2',
    ],
    ['not that of another scheme', { HTTP_PROXY: 'http://b:2' }, hub, null],
    ['that of all schemes', { ALL_PROXY: 'http://c:3' }, hub, 'http://c:3'],
    ['its own before that of all', { ALL_PROXY: 'http://c:3', https_proxy: 'http://a:1' }, hub, 'http://a:1'],
    ['lower case first', { https_proxy: 'http://a:1', HTTPS_PROXY: 'http://b:2' }, hub, 'http://a:1'],
    ['an empty one hides the other', { https_proxy: '', HTTPS_PROXY: 'http://b:2' }, hub, null],
    ['a host alone', { HTTPS_PROXY: 'proxy.example:8080' }, hub, 'http://proxy.example:8080'],
    ['over TLS', { HTTPS_PROXY: 'https://proxy.example' }, hub, 'https://proxy.example'],
    ['an address of IPv6', { HTTPS_PROXY: 'http://[::1]:8080' }, hub, 'http://[::1]:8080'],
    [
      'not one that a client of a web server can set',
      { HTTP_PROXY: 'http://b:2', REQUEST_METHOD: 'GET' },
      'http://x',
      null,
    ],
    ['but in lower case', { http_proxy: 'http://b:2', REQUEST_METHOD: 'GET' }, 'http://x', 'http://b:2'],
  ])('%s', (_, environment, address, expected) => {
    expect(taken(environment, address)).toBe(expected);
  });

  test.each<[string, string, boolean]>([
    ['*', hub, true],
    ['huggingface.co', hub, true],
    ['HuggingFace.co', hub, true],
    ['.huggingface.co', hub, true],
    ['*.huggingface.co', hub, true],
    ['huggingface.co', 'https://cdn-lfs.huggingface.co/', true],
    ['huggingface.co', 'https://nothuggingface.co/', false],
    ['face.co', hub, false],
    ['huggingface.co:443', hub, true],
    ['huggingface.co:8443', hub, false],
    ['huggingface.co:8443', 'https://huggingface.co:8443/', true],
    ['a.example, huggingface.co ,b.example', hub, true],
    ['a.example b.example', hub, false],
    [',,', hub, false],
    ['127.0.0.1', 'https://127.0.0.1:8080/', true],
    ['0.0.1', 'https://127.0.0.1/', false],
    ['127.0.0.0/8', 'https://127.1.2.3/', true],
    ['10.0.0.0/8', 'https://127.1.2.3/', false],
    ['127.0.0.0/99', 'https://127.1.2.3/', false],
    ['127.0.0.0/8', hub, false],
    ['::1', 'https://[::1]/', true],
    ['[::1]:8080', 'https://[::1]:8080/', true],
    ['fd00::/8', 'https://[fd00::5]/', true],
  ])('NO_PROXY=%s for %s leaves it out: %p', (list, address, expected) => {
    for (const name of ['NO_PROXY', 'no_proxy']) {
      expect(taken({ HTTPS_PROXY: 'http://a:1', [name]: list }, address)).toBe(
        expected ? null : 'http://a:1',
      );
    }
  });

  test.each(['socks5://user:word@host:1080', 'http://', 'http://user:word@ho st', 'user:word@host:port'])(
    '%s is refused, and not quoted',
    (value) => {
      const wrong = () => taken({ https_proxy: value });
      expect(wrong).toThrow(TypeError);
      expect(wrong).toThrow(/^https_proxy must be the address of an HTTP proxy, as http:\/\/host:port$/);
    },
  );

  test('users and passwords become a header, and secrets', () => {
    const environment = { HTTPS_PROXY: 'http://me%40work:p%C3%A4ss:word@host:1' };
    expect(proxyFor(new URL(hub), environment)).toEqual({
      variable: 'HTTPS_PROXY',
      url: 'http://host:1',
      authorization: `Basic ${Buffer.from('me@work:päss:word').toString('base64')}`,
    });
    expect(proxySecrets(environment)).toEqual(expect.arrayContaining(['p%C3%A4ss:word', 'päss:word']));
    expect(proxyFor(new URL(hub), { HTTPS_PROXY: 'http://me@host:1' })?.authorization).toBe(
      `Basic ${Buffer.from('me:').toString('base64')}`,
    );
    expect(proxySecrets({ HTTPS_PROXY: 'http://host:1' })).toEqual([]);
  });
});

describe('a download through a proxy', () => {
  const bench = new Workbench();
  const seen: { readonly url: string; readonly headers: IncomingHttpHeaders }[] = [];
  let login: string | null = null;
  // Only the proxy can resolve the hub's name.
  const toHub = (url: string) => url.replace('http://hub.invalid', bench.hub.url);
  const proxy = createServer((incoming, outgoing) => {
    const { url = '', headers } = incoming;
    seen.push({ url, headers });
    if (login !== null && headers['proxy-authorization'] !== login) {
      outgoing.writeHead(407).end();
      return;
    }
    const { host: _, ...others } = headers;
    request(toHub(url), { headers: others }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    }).end();
  });
  proxy.on('connect', ({ url = '', headers }, socket) => {
    seen.push({ url, headers });
    const inner = connect(Number(new URL(bench.hub.url).port), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      inner.pipe(socket).pipe(inner);
    });
    for (const each of [inner, socket]) each.on('error', () => {});
  });
  const address = (credentials = '') =>
    `http://${credentials}127.0.0.1:${(proxy.address() as AddressInfo).port}`;

  beforeAll(() => new Promise<void>((done) => void proxy.listen(0, '127.0.0.1', done)));
  beforeEach(() => {
    seen.length = 0;
    login = null;
  });
  afterAll(() => {
    proxy.closeAllConnections();
    proxy.close();
  });

  test('finds a hub that only the proxy knows, and storage that NO_PROXY leaves out', async () => {
    process.env.HF_ENDPOINT = 'http://hub.invalid';
    process.env.HTTP_PROXY = address();
    process.env.NO_PROXY = '127.0.0.1';
    expect(await download({ token: bench.hub.token })).toBe(bench.snapshot());
    expect(seen.every(({ url }) => url.startsWith('http://hub.invalid/'))).toBe(true);
    expect(seen[0]?.headers.authorization).toBe(`Bearer ${bench.hub.token}`);
    expect(bench.ranges(firstShard)).toHaveLength(1);
  });

  test('is for all addresses, those of this machine too', async () => {
    process.env.HTTP_PROXY = address();
    await download();
    expect(seen.some(({ url }) => url.startsWith(bench.hub.cdn))).toBe(true);
  });

  test('sends the password of the proxy to it, and to nobody else', async () => {
    login = `Basic ${Buffer.from('me:secretword').toString('base64')}`;
    process.env.HTTP_PROXY = address('me:secretword@');
    await download();
    expect(seen.length).toBeGreaterThan(0);
    login = 'another';
    process.env.HF_HUB_CACHE = `${bench.home}/other`;
    const error = await rejection(download());
    expect(error).toMatchObject({ name: 'RND1Error', code: 'network' });
    expect(error.message).toContain('407');
    expect(inspect(error, { depth: 20 })).not.toContain('secretword');
  });

  test('that cannot be reached is named', async () => {
    process.env.HTTP_PROXY = 'http://127.0.0.1:2';
    const error = await rejection(download());
    expect(error).toMatchObject({ code: 'network' });
    expect(error.message).toContain('through the proxy of HTTP_PROXY: connect ECONNREFUSED 127.0.0.1:2');
  });

  test('that is no address is refused before anything is asked, unless nothing is', async () => {
    process.env.http_proxy = 'socks5://127.0.0.1:2';
    await expect(download()).rejects.toThrow(/^http_proxy must be the address/);
    await expect(download({ offline: true })).rejects.toMatchObject({ code: 'offline' });
    expect(bench.hub.requests).toEqual([]);
  });
});

describe('a tunnel that a proxy does not make', () => {
  new Workbench();
  const connections = new Set<Socket>();
  let asked = 0;
  let answer: (socket: Socket) => void = () => {};
  const proxy = createTcpServer((socket) => {
    connections.add(socket.on('error', () => {}).on('close', () => connections.delete(socket)));
    socket.once('data', () => {
      asked += 1;
      answer(socket);
    });
  });

  beforeAll(() => new Promise<void>((done) => void proxy.listen(0, '127.0.0.1', done)));
  beforeEach(() => {
    asked = 0;
    process.env.HF_ENDPOINT = 'https://hub.invalid';
    process.env.HTTPS_PROXY = `http://me:secretword@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  });
  afterAll(() => void proxy.close());

  /** Waits until all connections have ended; expects no new ones. */
  async function quiet(): Promise<void> {
    while (connections.size > 0) await sleep(20);
    await sleep(100);
    expect(connections.size).toBe(0);
  }

  test.each<[string, (socket: Socket) => void, string]>([
    [
      'refused',
      (socket) => socket.end('HTTP/1.1 407 No\r\n\r\n'),
      'it answers 407 to the request for a tunnel',
    ],
    ['broken off', (socket) => socket.destroy(), 'other side closed'],
    ['garbled', (socket) => socket.end('hello\r\n\r\n'), 'Response does not match the HTTP/1.1 protocol'],
  ])('is named: %s', async (_, way, problem) => {
    answer = way;
    const error = await rejection(download());
    expect(error).toMatchObject({ name: 'RND1Error', code: 'network' });
    expect(error.message).toContain(`through the proxy of HTTPS_PROXY: ${problem}`);
    expect(inspect(error, { depth: 20 })).not.toContain('secretword');
    expect(asked).toBe(3);
    await quiet();
    expect(asked).toBe(3);
  });

  test('is waited for as long as other answers, and no longer', async () => {
    answer = () => {};
    const error = await rejection(download({}, { timeout: 300 }));
    expect(error.message).toContain('timeout: no data received for 0.3 s');
    await quiet();
  });
});
