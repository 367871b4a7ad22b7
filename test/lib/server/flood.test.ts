import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { serve } from '../cli/served';
import { open, request } from './raw';

jest.mock('../../../lib/runtime/binding');

// Only Linux shows the memory of another process in /proc.
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

/** Number of open sockets of a process: the listening one, those of its event loop, and its clients'. */
const sockets = (pid: number) =>
  readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;

/** A hundred clients that send 400 requests each and read nothing. */
const flood = (url: string) =>
  Array.from({ length: 100 }, (_, i) => {
    const connection = open(url, (requests[i % requests.length] as string).repeat(400));
    connection.socket.pause();
    return connection;
  });

linux(
  'clients that ask and do not read cost no memory, and are closed',
  async () => {
    const { child, url, ended } = await serve(['--stall-timeout', '3', '--log-level', 'error']);
    const pid = child.pid as number;
    const few = sockets(pid) + 2;
    /** Peak memory in megabytes until all connections are closed, although nobody reads. */
    const peakOf = async (clients: ReturnType<typeof flood>): Promise<number> => {
      let peak = 0;
      for (let i = 0; i < 30 || sockets(pid) > few; i++) {
        expect(i).toBeLessThan(200);
        await wait(100);
        peak = Math.max(peak, megabytes(pid));
        expect((await fetch(`${url}/healthz`)).status).toBe(200);
      }
      // A socket must be read to its end to notice that the other side has closed it.
      for (const { socket } of clients) socket.resume();
      await Promise.all(clients.map(({ closed }) => closed));
      return peak;
    };
    // The first flood costs what a hundred concurrent clients always cost; the second one must cost nothing more.
    const before = megabytes(pid);
    const first = await peakOf(flood(url));
    expect(first - before).toBeLessThan(150);
    expect((await peakOf(flood(url))) - first).toBeLessThan(50);
    child.kill('SIGTERM');
    expect(await ended).toEqual({ code: 0, signal: null });
  },
  60_000,
);
