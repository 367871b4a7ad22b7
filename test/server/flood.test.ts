import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { serve } from '../cli/served';
import { open, request } from './raw';
import { until } from './served';

jest.mock('../../lib/binding');

// The kernel tells how much memory another process has.
const linux = existsSync('/proc/self/status') ? test : test.skip;

const json = { 'content-type': 'application/json' };
const post = (path: string, body: object) => {
  const text = JSON.stringify(body);
  return request(`POST ${path}`, { ...json, 'content-length': Buffer.byteLength(text) }, text);
};
const requests = [
  request('GET /openapi.json'),
  request('GET /healthz'),
  request('GET /'),
  request('GET /metrics'),
  request('GET /nothing'),
  request('GET /healthz', { host: 'evil.example' }),
  post('/v1/completions', { prompt: 'Question: What is 1+1?\nAnswer:', max_tokens: 2, steps: 1 }),
  post('/v1/completions', { prompt: 'a'.repeat(3000) }),
  post('/v1/denoise', { length: 20, prefix: 'Q', steps: 5 }),
  post('/v1/completions', {}),
];
const megabytes = (pid: number) =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

/** Sockets that a process has: the one that listens, those of its event loop, and its clients'. */
const sockets = (pid: number) =>
  readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;

linux('clients that ask and do not read cost no memory, and are closed', async () => {
  const { child, url, ended } = await serve(['--stall-timeout', '3', '--log-level', 'error']);
  const pid = child.pid as number;
  // What any use of the server takes once.
  for (let i = 0; i < 40; i++) {
    const { socket, received } = open(url, requests.join(''));
    await until(() => received().split('HTTP/1.1 ').length > requests.length);
    socket.destroy();
  }
  const before = megabytes(pid);
  const few = sockets(pid) + 2;
  const flood = Array.from({ length: 100 }, (_, i) => {
    const connection = open(url, (requests[i % requests.length] as string).repeat(400));
    connection.socket.pause();
    return connection;
  });
  let peak = 0;
  for (let i = 0; i < 30; i++) {
    await wait(100);
    peak = Math.max(peak, megabytes(pid));
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
  }
  expect(peak - before).toBeLessThan(50);
  // All are closed though nobody reads; a socket that is read again tells it at its end.
  await until(() => sockets(pid) <= few);
  for (const { socket } of flood) socket.resume();
  await Promise.all(flood.map(({ closed }) => closed));
  child.kill('SIGTERM');
  expect(await ended).toEqual({ code: 0, signal: null });
});
