import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Answer } from '../../../lib/batch/outcome';
import { LineQueue } from '../../../lib/batch/queue/line-queue';
import { work } from '../../../lib/batch/queue/worker';
import type { BatchRequest } from '../../../lib/batch/request';
import { RedisServer, redisProgram } from '../../support/redis';
import { addWorker, startWorker, stopWorkers } from './queue-workers';
import { rnd1, root, scratchFolder } from './rnd1';

/** Lines of the test in which workers are killed; `.ci/run` asks for more. */
const chaosLines = Number(process.env.RND1_CHAOS_LINES ?? 200);

const scratch = scratchFolder();
const main = join(root, 'dist', 'cli', 'main.js');
let fresh = 0;
const newPath = () => scratch(`file-${fresh++}`);

function write(count: number): string {
  const path = newPath();
  const lines = Array.from({ length: count }, (_, i) => ({
    custom_id: `sum-${i}`,
    method: 'POST',
    url: '/v1/completions',
    body: {
      prompt: `Question: What is ${i % 50}+${(7 * i) % 50}?\nAnswer:`,
      max_tokens: 4,
      temperature: i % 2,
      steps: 1 + (i % 2),
    },
  }));
  writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  return path;
}

const sorted = (path: string) => readFileSync(path, 'utf8').split('\n').sort();

test('flags that belong elsewhere are refused', async () => {
  for (const [args, message] of [
    [['worker'], '--queue is needed: redis://host:6379'],
    [['worker', '--queue', 'http://host'], 'the queue must be a URL as redis://host:6379'],
    [['worker', '--queue', 'redis://host', '--queue-name', 'a:b'], "not 'a:b'"],
    [['batch', 'in', 'out', '--chunk', '4'], '--chunk needs --queue'],
    [
      ['batch', 'in', 'out', '--queue', 'redis://h', '--model', 'm'],
      '--queue and --model exclude each other',
    ],
  ] as const) {
    const { code, stderr } = await rnd1([...args]);
    expect({ args, code, stderr: stderr.includes(message) ? message : stderr }).toEqual({
      args,
      code: 2,
      stderr: message,
    });
  }
});

test('a server that is not there is an error without the password', async () => {
  const input = write(1);
  const args = ['batch', input, newPath(), '--queue', 'redis://me:secret@127.0.0.1:1', '--quiet'];
  const { code, stderr } = await rnd1(args);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^rnd1: cannot reach redis:\/\/127\.0\.0\.1:1: /);
  expect(stderr).not.toContain('secret');
});

if (redisProgram === null) {
  process.stderr.write('SKIPPED: workers; there is neither redis-server nor valkey-server\n');
} else {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterEach(stopWorkers);
  afterAll(() => server.stop());

  test('workers give what one process gives, in the order of the input', async () => {
    const input = write(40);
    const [here, there] = [newPath(), newPath()];
    expect(await rnd1(['batch', input, here, '--quiet'])).toMatchObject({ code: 0, stderr: '' });
    const worker = rnd1(['worker', '--queue', server.url, '--exit-when-idle', '2', '--threads', '1']);
    const batch = await rnd1(['batch', input, there, '--queue', server.url, '--chunk', '8']);
    expect(batch).toMatchObject({ code: 0, stderr: '' });
    expect(batch.stdout).toMatch(/: 40 lines, \d+ tokens in /);
    expect(readFileSync(there, 'utf8')).toBe(readFileSync(here, 'utf8'));
    expect(await worker).toEqual({
      code: 0,
      stdout: '40 lines answered\n',
      stderr: `rnd1: waiting for lines of ${server.url} rnd1\n`,
    });
  });

  test('killed and paused workers lose and double nothing', async () => {
    const input = write(chaosLines);
    const [here, there] = [newPath(), newPath()];
    expect(await rnd1(['batch', input, here, '--quiet'])).toMatchObject({ code: 0, stderr: '' });
    const flags = ['--lock-seconds', '2', '--attempts', '50', '--chunks', '2'];
    const start = () => startWorker(server.url, 'chaos', ...flags);
    const running = Array.from({ length: 4 }, start);
    const batch = rnd1([
      'batch',
      input,
      there,
      '--queue',
      server.url,
      '--queue-name',
      'chaos',
      '--unordered',
    ]);
    let ended = false;
    void batch.then(() => {
      ended = true;
    });
    // Each turn ends one worker and holds another for longer than its lock.
    for (let turn = 0; !ended; turn++) {
      await wait(1500);
      running[turn % 4]?.kill('SIGKILL');
      running[turn % 4] = start();
      const paused = running[(turn + 2) % 4];
      if (turn % 2 === 0) {
        paused?.kill('SIGSTOP');
        void wait(3500).then(() => paused?.kill('SIGCONT'));
      }
    }
    expect(await batch).toMatchObject({ code: 0, stderr: '' });
    expect(sorted(there)).toEqual(sorted(here));
  }, 600_000);

  test('a batch that was killed goes on', async () => {
    const input = write(150);
    const [here, there] = [newPath(), newPath()];
    expect(await rnd1(['batch', input, here, '--quiet'])).toMatchObject({ code: 0 });
    startWorker(server.url, 'killed');
    const args = ['batch', input, there, '--queue', server.url, '--queue-name', 'killed', '--quiet'];
    const child = spawn(process.execPath, [main, ...args], { stdio: 'ignore' });
    const size = () => (existsSync(there) ? statSync(there).size : 0);
    while (child.exitCode === null && size() < 5000) await wait(5);
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    expect(await rnd1(args)).toMatchObject({ code: 0, stderr: '' });
    expect(readFileSync(there, 'utf8')).toBe(readFileSync(here, 'utf8'));
  });

  test('an interrupted worker finishes what it has begun', async () => {
    const child = startWorker(server.url, 'interrupted');
    const input = write(30);
    const output = newPath();
    const batch = rnd1([
      'batch',
      input,
      output,
      '--queue',
      server.url,
      '--queue-name',
      'interrupted',
      '--quiet',
    ]);
    while (!existsSync(output) || statSync(output).size === 0) await wait(5);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    expect(await ended).toBe(143);
    startWorker(server.url, 'interrupted');
    expect(await batch).toMatchObject({ code: 0, stderr: '' });
  });

  describe('lines that break their workers', () => {
    const request = (customId: string): BatchRequest => ({
      line: 1,
      customId,
      url: '/v1/completions',
      body: {},
      key: Buffer.alloc(32),
      id: customId.padEnd(24, '0'),
    });
    const reply = (customId: string) => ({ response: { status: 200, requestId: customId, body: {} } });
    const ids = ['a', 'b', 'poison', 'c'];

    /** Outcomes of lines that one chunk holds, from a worker with this answer. */
    async function outcomes(name: string, answer: Answer) {
      const stop = new AbortController();
      const place = { url: server.url, name };
      const settings = { chunks: 1, attempts: 2, lockSeconds: 2, idleSeconds: null, signal: stop.signal };
      const worker = work({ ...place, ...settings, answer });
      const queue = await LineQueue.open({ ...place, chunk: ids.length });
      try {
        const { signal } = new AbortController();
        return await Promise.all(ids.map((id) => queue.answer(request(id), signal)));
      } finally {
        await queue.close();
        stop.abort();
        await worker;
      }
    }

    test('by an exception are errors of their own', async () => {
      const asked: string[] = [];
      const found = await outcomes('throws', async ({ customId }) => {
        asked.push(customId);
        if (customId === 'poison') throw new Error('it burns');
        return reply(customId);
      });
      expect(found).toEqual([
        reply('a'),
        reply('b'),
        {
          error: { code: 'worker_failed', message: 'no worker could answer the line: it burns' },
        },
        reply('c'),
      ]);
      expect(asked.filter((id) => id === 'poison').length).toBeLessThanOrEqual(4);
    });

    test('by the end of the process are errors after a few attempts', async () => {
      const script = `
        const { work } = require(${JSON.stringify(join(root, 'dist/batch/queue/worker.js'))});
        const answer = async ({ customId }) => {
          if (customId === 'poison') process.kill(process.pid, 'SIGKILL');
          return { response: { status: 200, requestId: customId, body: {} } };
        };
        const settings = { chunks: 1, attempts: 2, lockSeconds: 1, idleSeconds: null };
        const { signal } = new AbortController();
        work({ url: ${JSON.stringify(server.url)}, name: 'kills', ...settings, answer, signal });`;
      let deaths = 0;
      let stopped = false;
      const start = () => {
        const child = addWorker(spawn(process.execPath, ['-e', script], { stdio: 'ignore' }));
        child.on('exit', () => {
          deaths++;
          if (!stopped) start();
        });
      };
      start();
      const queue = await LineQueue.open({ url: server.url, name: 'kills', chunk: ids.length });
      const { signal } = new AbortController();
      const found = await Promise.all(ids.map((id) => queue.answer(request(id), signal)));
      stopped = true;
      await queue.close();
      expect(found.map((outcome) => 'error' in outcome)).toEqual([false, false, true, false]);
      // Twice as part of the chunk, twice alone.
      expect(deaths).toBe(4);
    }, 120_000);
  });

  test('a server that may forget lines is refused', async () => {
    const forgetful = await RedisServer.start(['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru']);
    try {
      const { code, stderr } = await rnd1(['worker', '--queue', forgetful.url, '--quiet']);
      expect(code).toBe(1);
      expect(stderr).toContain('its maxmemory-policy is allkeys-lru, and must be noeviction');
    } finally {
      await forgetful.stop();
    }
  });
}
