import { allowedHost } from '../../../lib/server/hosts';
import { answerIn, request, say } from './raw';
import { serve } from './served';

jest.mock('../../../lib/runtime/binding');

const close = { connection: 'close' };

/** Status and code of the response to a request for `/healthz` with these headers. */
async function asked(url: string, headers: Record<string, string>, target = '/healthz') {
  const { status, error } = answerIn(await say(url, request(`GET ${target}`, { ...close, ...headers })));
  return status === 200 ? 200 : `${status} ${error?.code}`;
}

test('at a loopback address, only names of the machine itself are taken', async () => {
  const { url } = await serve();
  const own = ['localhost', 'LocalHost:80', 'localhost.', 'a.b.localhost:1', '127.0.0.1', '127.8.9.10:8080'];
  for (const host of [...own, '[::1]:8080', '[0:0:0:0:0:0:0:1]', '[::ffff:127.0.0.1]'])
    expect([host, await asked(url, { host })]).toEqual([host, 200]);
  const strange = ['evil.example', '127.0.0.1.evil.example', 'localhost.evil.example', 'evillocalhost'];
  const odd = ['0.0.0.0', '192.168.1.1', '[::]', '[fe80::1]', '1270.0.0.1', 'localhost..', 'localhost:80:80'];
  for (const host of [...strange, ...odd, 'a@localhost', 'localhost/', 'localhost,evil.example', ''])
    expect([host, await asked(url, { host })]).toEqual([host, '403 host_not_allowed']);
});

test('the refusal names the option, and every path is behind it', async () => {
  const { url } = await serve();
  for (const line of [
    'GET /',
    'GET /metrics',
    'POST /v1/completions',
    'GET /nothing',
    'OPTIONS /v1/models',
  ]) {
    const { status, error } = answerIn(await say(url, request(line, { ...close, host: 'evil.example' })));
    expect(status).toBe(403);
    expect(error).toMatchObject({ type: 'invalid_request_error', code: 'host_not_allowed', param: null });
    expect(error?.message).toMatch(/"evil\.example".*--allowed-hosts/);
  }
});

test('a host must be said once, and the one in the target counts as well', async () => {
  const { url } = await serve();
  const raw = (text: string) => say(url, text).then(answerIn);
  expect(await raw('GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n')).toMatchObject({
    status: 400,
    error: { code: 'missing_host' },
  });
  expect((await raw('GET /healthz HTTP/1.0\r\n\r\n')).status).toBe(200);
  const twice = 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nhost: evil.example\r\nconnection: close\r\n\r\n';
  expect(await raw(twice)).toMatchObject({ status: 400, error: { code: 'invalid_host' } });
  expect(await asked(url, {}, 'http://localhost:80/healthz')).toBe(200);
  expect(await asked(url, {}, 'http://evil.example/healthz')).toBe('403 host_not_allowed');
  expect(await asked(url, { host: 'evil.example' }, 'http://localhost/healthz')).toBe('403 host_not_allowed');
  expect(await asked(url, {}, 'http://a@localhost/healthz')).toBe('403 host_not_allowed');
});

test('names that are allowed are taken too, for pages as well', async () => {
  const allowedHosts = ['Rnd1.example', '*.intern.example', '10.0.0.1', '::2'];
  const { url } = await serve({ allowedHosts });
  for (const host of [
    'rnd1.example:80',
    'RND1.EXAMPLE.',
    'a.intern.example',
    '10.0.0.1',
    '[::2]:1',
    '127.0.0.1',
  ])
    expect([host, await asked(url, { host, origin: `http://${host}` })]).toEqual([host, 200]);
  for (const host of ['a.rnd1.example', 'intern.example', 'evilintern.example', '10.0.0.2'])
    expect([host, await asked(url, { host })]).toEqual([host, '403 host_not_allowed']);
  const { url: any } = await serve({ allowedHosts: ['*'] });
  expect(await asked(any, { host: 'evil.example', origin: 'https://evil.example' })).toBe(200);
});

test('pages of others are refused, unless CORS lets them', async () => {
  const { url } = await serve({ corsOrigins: ['https://a.example'] });
  for (const origin of ['http://localhost:3000', 'https://127.0.0.1', 'http://[::1]:80', 'https://a.example'])
    expect([origin, await asked(url, { origin })]).toEqual([origin, 200]);
  const strange = [
    'https://evil.example',
    'null',
    'https://a.example.evil.example',
    'http://a.example',
    'file://',
  ];
  for (const origin of [...strange, 'chrome-extension://localhost', 'http://localhost/evil.example', ''])
    expect([origin, await asked(url, { origin })]).toEqual([origin, '403 origin_not_allowed']);
  const { url: any } = await serve({ corsOrigins: ['*'] });
  expect(await asked(any, { origin: 'null' })).toBe(200);
});

test('elsewhere any name is taken, until some are given', async () => {
  const everywhere = async (allowedHosts: string[]) => {
    const { server } = await serve({ allowedHosts }, undefined, '0.0.0.0');
    const { port } = server.app.server.address() as { port: number };
    return `http://127.0.0.1:${port}`;
  };
  expect(await asked(await everywhere([]), { host: 'any.example', origin: 'http://b.example' })).toBe(200);
  expect(await asked(await everywhere(['rnd1.example']), { host: 'any.example' })).toBe(
    '403 host_not_allowed',
  );
  expect(await asked(await everywhere(['rnd1.example']), { host: 'rnd1.example' })).toBe(200);
});

test('names of the option are names', () => {
  expect(['A.example.', '[::1]', '::1', '*.B.example', '*'].map(allowedHost)).toEqual([
    'a.example',
    '[::1]',
    '[::1]',
    '*.b.example',
    '*',
  ]);
  for (const wrong of ['http://a.example', 'a.example:80', '[::1]:80', '', 'a b', 'a.*', '*.', 'a,b'])
    expect([wrong, allowedHost(wrong)]).toEqual([wrong, null]);
  return expect(serve({ allowedHosts: ['a.example', 'b.example:80'] })).rejects.toThrow(
    /^allowedHosts\[1\] must be a name or an address without a port.*'b\.example:80'$/,
  );
});
