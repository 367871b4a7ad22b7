import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ProgramRunner } from '../../../lib/evaluation/programs/program-runner';
import type { Sandbox } from '../../../lib/evaluation/programs/sandbox';
import { evaluationFolder } from '../../support/evaluation';

interface Golden {
  readonly rows: readonly { readonly program: string; readonly passed: boolean; readonly kind: string }[];
}

const { rows } = JSON.parse(
  readFileSync(join(evaluationFolder, 'golden', 'code-exec.json'), 'utf8'),
) as Golden;

const every: readonly Sandbox[] = ['bwrap', 'unshare', 'none'];

/** Those that work on this machine. */
const runners = new Map<Sandbox, ProgramRunner>();
beforeAll(async () => {
  for (const sandbox of every)
    try {
      runners.set(sandbox, await ProgramRunner.open({ sandbox, seconds: 1 }));
    } catch (error) {
      process.stderr.write(`SKIPPED: programs in the sandbox ${sandbox}: ${(error as Error).message}\n`);
    }
});
afterAll(async () => {
  for (const runner of runners.values()) await runner.close();
});

test.each(every)(
  '%s: verdicts are those of the reference',
  async (sandbox) => {
    const runner = runners.get(sandbox);
    if (runner === undefined) return;
    expect(rows.length).toBeGreaterThan(30);
    expect(runner.version).toMatch(/^3\.\d+\.\d+/);
    const verdicts = await Promise.all(rows.map(({ program }) => runner.run(program)));
    for (const [i, { program, passed, kind }] of rows.entries()) {
      const verdict = verdicts[i];
      // A program that ignores its time is killed a moment later.
      const kinds = kind === 'timed out' ? ['timed out', 'killed'] : [kind];
      expect({ program, passed: verdict?.passed, kind: kinds.includes(verdict?.kind ?? '') }).toEqual({
        program,
        passed,
        kind: true,
      });
    }
  },
  60_000,
);

// `os` as a program gets it lacks what the executor takes away; these go around that.
const libc = 'import ctypes\nlibc = ctypes.CDLL(None)\n';

describe.each(['bwrap', 'unshare'] as const)('hostile programs in %s', (sandbox) => {
  const run = async (program: string) => {
    const runner = runners.get(sandbox);
    if (runner === undefined) return undefined;
    const start = performance.now();
    const verdict = await runner.run(program);
    expect(performance.now() - start).toBeLessThan(20_000);
    return verdict;
  };

  test.each([
    ['a fork bomb', `${libc}while True: libc.fork()`],
    ['threads without end', 'import threading\nwhile True: threading.Thread(target=lambda: input).start()'],
    ['endless output', "while True: print('x' * 100000)"],
    ['sleeping', 'import time\ntime.sleep(1000)'],
    ['ignoring the alarm', 'import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True: pass'],
    ['all memory', "parts = []\nwhile True: parts.append('x' * 10000000)"],
    ['a huge file', "with open('big', 'wb') as file:\n    while True: file.write(bytes(1000000))"],
    ['many files', "for i in range(10**9): open(str(i), 'w').write('x' * 100000)"],
    ['a crash', `${libc}libc.strlen(0)`],
    ['the end of the process', 'import os\nos._exit(0)'],
    ['killing what runs it', `${libc}libc.kill(libc.getppid(), 9)\nlibc.kill(-1, 9)\nassert False`],
    ['saying that it has passed', 'import os\nos.write(3, b\'{"kind": "passed"}\')\nos._exit(0)'],
    ['flooding the verdict', "import os\nwhile True: os.write(3, b'x' * 65536)"],
    ['a nested end', 'raise type("E", (BaseException,), {"__str__": lambda self: 1 / 0})()'],
  ])(
    '%s does not pass, and ends',
    async (_, program) => {
      const verdict = await run(program);
      if (verdict !== undefined) expect(verdict.passed).toBe(false);
    },
    30_000,
  );

  test('the network is out of reach', async () => {
    let connections = 0;
    const server = createServer(() => connections++);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const connect = `import socket\nsocket.create_connection(('127.0.0.1', ${port}), 1)`;
    expect((await run(connect))?.kind ?? 'failed').toBe('failed');
    // It is a matter of the sandbox.
    const open = await runners.get('none')?.run(connect);
    expect(open?.passed ?? true).toBe(true);
    await new Promise((resolve) => server.close(resolve));
    expect(connections).toBe(runners.has('none') ? 1 : 0);
  });

  test('files outside the folder cannot be written, and nothing is left inside', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'rnd1-outside-'));
    try {
      const touch = (path: string) => `open(${JSON.stringify(path)}, 'w').write('x')`;
      for (const path of [
        join(outside, 'a'),
        join(tmpdir(), 'rnd1-touched'),
        '/var/tmp/rnd1-touched',
        '/dev/shm/rnd1',
      ])
        expect({ path, passed: (await run(touch(path)))?.passed ?? false }).toEqual({ path, passed: false });
      expect(existsSync(join(tmpdir(), 'rnd1-touched'))).toBe(false);
      const first = await run("open('left', 'w').write('x')");
      expect(first?.passed ?? true).toBe(true);
      expect((await run("import os\nassert os.listdir('.') == []"))?.passed ?? true).toBe(true);
      // Nor can it be made writable.
      const remount = `${libc}assert libc.mount(b'none', b'/', None, 32 | 4096, None) == 0`;
      expect((await run(remount))?.passed ?? false).toBe(false);
    } finally {
      rmSync(outside, { recursive: true, force: true });
    }
  });

  test('the environment and other processes are out of sight', async () => {
    process.env.RND1_SECRET = 'secret';
    try {
      const verdict = await run("import os\nassert not any('SECRET' in name for name in os.environ)");
      expect(verdict?.passed ?? true).toBe(true);
    } finally {
      delete process.env.RND1_SECRET;
    }
    const count = "import os\nassert len([name for name in os.listdir('/proc') if name.isdigit()]) < 5";
    expect((await run(count))?.passed ?? true).toBe(true);
  });

  test('what a program has started ends with it', async () => {
    const marker = `rnd1-orphan-${process.pid}`;
    const orphan = `${libc}import os\nif libc.fork() == 0:\n    os.execvp('sleep', ['${marker}', '100'])\n`;
    await run(orphan);
    const running = await runners
      .get('none')
      ?.run(
        `import os\nfor name in os.listdir('/proc'):\n    if name.isdigit():\n        assert b'${marker}' not in open('/proc/' + name + '/cmdline', 'rb').read()`,
      );
    expect(running?.passed ?? true).toBe(true);
  });
});

test('where programs cannot be run, it says why', async () => {
  await expect(ProgramRunner.open({ python: 'no-python' })).rejects.toThrow(
    /programs cannot be run safely here \(bwrap with no-python: .*install bubblewrap/,
  );
  await expect(ProgramRunner.open({ sandbox: 'jail' as Sandbox })).rejects.toThrow("'bwrap'");
  await expect(ProgramRunner.open({ phyton: '' } as object)).rejects.toThrow('phyton');
});
