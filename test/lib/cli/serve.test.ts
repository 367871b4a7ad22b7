import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { answerIn, request, say } from '../server/raw';
import { rnd1, root } from './rnd1';
import { serve } from './served';

const post = (url: string, body: object, headers: Record<string, string> = {}) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });

test('says where it is, answers, logs, and ends with 0 when asked to', async () => {
  const { child, url, output, ended } = await serve([]);
  expect(output.stdout).toMatch(/^rnd1 serves nano at http:\/\/127\.0\.0\.1:\d+ .*\n$/);
  const answer = await post(`${url}/v1/fill`, {
    text: 'Question: What is 1+1?\nAnswer: ___',
    tokens_per_hole: 1,
  });
  expect(answer.status).toBe(200);
  child.kill('SIGTERM');
  expect(await ended).toEqual({ code: 0, signal: null });
  const entries = output.stderr
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(entries).toContainEqual(expect.objectContaining({ msg: 'request', path: '/v1/fill', status: 200 }));
  expect(output.stderr).not.toContain('What is 1+1');
  await expect(fetch(`${url}/healthz`)).rejects.toThrow();
});

test('logs for people where that is asked for', async () => {
  const { child, url, output, ended } = await serve(['--log-format', 'human', '--log-prompts']);
  await post(`${url}/v1/fill`, { text: 'Question: What is 1+1?\nAnswer: ___', tokens_per_hole: 1 });
  await fetch(`${url}/nothing`);
  child.kill('SIGTERM');
  await ended;
  const lines = output.stderr.trim().split('\n');
  expect(lines).toEqual([
    expect.stringMatching(/^\d\d:\d\d:\d\d {2}answer {2}prompts=.*What is 1\+1.* {2}answers=\[.*\]$/),
    expect.stringMatching(/^\d\d:\d\d:\d\d {2}POST \/v1\/fill {2}200 {2}\d+ ms$/),
    expect.stringMatching(/^\d\d:\d\d:\d\d {2}GET \/nothing {2}404 {2}\d+ ms$/),
  ]);
});

test('lets a stream end after the first signal, and ends at once after the second', async () => {
  // A slow canvas: one position per step.
  const long = {
    tokens: new Array(256).fill(65),
    masked: Array.from({ length: 100 }, (_, i) => i + 1),
    steps: 100,
  };
  const first = await serve(['--log-level', 'silent', '--threads', '1']);
  const streamed = await post(`${first.url}/v1/denoise`, long);
  first.child.kill('SIGINT');
  expect(await streamed.text()).toMatch(/event: end\ndata: .*\n\n$/);
  expect(await first.ended).toEqual({ code: 0, signal: null });
  expect(first.output.stderr).toBe('');

  const second = await serve(['--log-level', 'silent', '--threads', '1']);
  const cut = await post(`${second.url}/v1/denoise`, long);
  second.child.kill('SIGINT');
  const again = setInterval(() => second.child.kill('SIGINT'), 20);
  expect(await second.ended).toEqual({ code: null, signal: 'SIGINT' });
  clearInterval(again);
  await expect(cut.text()).rejects.toThrow();
});

test('takes keys from the environment and from flags, and warns when it is open without any', async () => {
  const closed = await serve(['--host', '0.0.0.0', '--api-key', 'one'], { RND1_API_KEY: 'two, three' });
  const url = closed.url.replace('0.0.0.0', '127.0.0.1');
  const status = async (key: string) =>
    (await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).status;
  expect(await Promise.all(['one', 'two', 'three', 'four'].map(status))).toEqual([200, 200, 200, 401]);
  closed.child.kill('SIGTERM');
  await closed.ended;
  expect(closed.output.stderr).not.toContain('warning');

  const opened = await serve(['--host', '0.0.0.0', '--name', 'mine', '--no-page']);
  opened.child.kill('SIGTERM');
  await opened.ended;
  expect(opened.output.stderr).toContain('rnd1: warning: everyone who reaches 0.0.0.0 can use this server');
  expect(opened.output.stdout).toContain('rnd1 serves mine');
});

test('takes its own names and those it is given, and says which flag gives them', async () => {
  const { child, url, ended } = await serve([
    '--log-level',
    'silent',
    '--allowed-hosts',
    'a.example, *.b.example',
    '--allowed-hosts',
    'c.example',
  ]);
  const asked = async (host: string) => {
    const { status, error } = answerIn(await say(url, request('GET /readyz', { host, connection: 'close' })));
    return error === undefined ? status : error.message;
  };
  for (const host of ['localhost', 'a.example:80', 'a.b.example', 'c.example'])
    expect(await asked(host)).toBe(200);
  expect(await asked('evil.example')).toMatch(/"evil\.example".*--allowed-hosts/);
  child.kill('SIGTERM');
  expect(await ended).toEqual({ code: 0, signal: null });
});

test('says what is wrong with its options', async () => {
  const wrong = async (...args: string[]) => {
    const { code, stdout, stderr } = await rnd1(['serve', ...args]);
    expect(stdout).toBe('');
    return { code, stderr };
  };
  expect(await wrong('--port', '70000')).toEqual({ code: 2, stderr: expect.stringContaining('0 to 65535') });
  expect(await wrong('--api-key', 'a b')).toEqual({
    code: 2,
    stderr: expect.stringContaining('visible ASCII'),
  });
  expect(await wrong('--allowed-hosts', 'http://a.example')).toEqual({
    code: 2,
    stderr: expect.stringContaining("must be a name or an address without a port, '*.NAME' or '*'"),
  });
  const template = join(root, 'build', `wrong-template-${process.pid}.jinja`);
  writeFileSync(template, '{% if %}');
  expect(await wrong('--chat-template', template)).toEqual({
    code: 2,
    stderr: expect.stringContaining('chatTemplate cannot be parsed'),
  });
  expect(await wrong('--host', '256.0.0.1', '--port', '0')).toMatchObject({ code: 1 });
});

test('says why it cannot listen, and what helps', async () => {
  const { child, url, ended } = await serve([]);
  const { port } = new URL(url);
  const { code, stderr } = await rnd1(['serve', '--port', port]);
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: `rnd1: port ${port} is in use: choose another one with --port, 0 for any free port\n`,
  });
  child.kill('SIGTERM');
  await ended;
});
