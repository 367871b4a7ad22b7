import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { POST } from '../examples/route-handler';
import { gridOf, isSolution, linesOf } from '../examples/support/sudoku';
import { rnd1, start } from './lib/cli/rnd1';

// Checks what the examples print, not only that they exit; test/readme.test.ts does so for those that pages show.

const root = resolve(__dirname, '..');

/** Runs an example in one process; `npx tsx`, as in their first lines, needs three and does the same. */
async function run(name: string): Promise<string[]> {
  const options = name.endsWith('.ts') ? ['--require', 'tsx/cjs'] : [];
  const { code, stdout, stderr } = await start(process.execPath, [...options, `examples/${name}`], {
    cwd: root,
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout.trimEnd().split('\n');
}

/** Examples that have tests of their own, here or in test/readme.test.ts. */
const shown = ['start.ts', 'stream.ts'];
const told: Record<string, (lines: string[]) => void> = {
  'generate.ts': ([answer, cost]) => {
    expect(answer).toBe('85');
    expect(cost).toMatch(/^\d+ positions, \d+ forward pass/);
  },
  'infill.ts': (lines) => {
    expect(lines.slice(0, 2)).toEqual(['Question: Reverse moon', 'Answer: noom']);
    expect(lines[2]).toBe('Question: Reverse diamond');
  },
  'tokens.ts': (lines) => {
    expect(lines[0]).toMatch(/^written: {1,2}wodniw/);
    expect(lines[1]).toBe('most probable next byte: w');
  },
  'workers.mjs': (lines) => {
    expect(lines).toEqual([
      'What is 47+38? → 85',
      'Reverse lantern → nretnal',
      'Sort z k m q → k m q z',
      'What is 9+8? → 17',
    ]);
  },
  'serve.ts': (lines) => {
    expect(lines).toEqual([
      'serving nano',
      expect.stringMatching(/^85 \(\d+ tokens\)$/),
      expect.stringMatching(/^ ?a d m q x$/),
    ]);
  },
  'route-handler.ts': (lines) => {
    const events = lines.map((line) => JSON.parse(line));
    expect(events.length).toBeGreaterThan(2);
    expect(events[0]).toMatchObject({ step: 1, written: expect.stringContaining('░') });
    expect(events.at(-1).result).toMatchObject({ text: 'nretnal', finishReason: 'stop' });
  },
};

test('the tour of npm start fits 80 columns', async () => {
  const { code, stdout, stderr } = await start(
    process.execPath,
    ['--require', 'tsx/cjs', 'examples/start.ts', '7'],
    { cwd: root },
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toContain('of 6 answers are right');
  expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([]);
});

test('every example has its test', () => {
  const examples = readdirSync(join(root, 'examples')).filter((name) => /\.m?[jt]s$/.test(name));
  expect([...Object.keys(told), ...shown].sort()).toEqual(examples.sort());
});

test.each(Object.entries(told))('examples/%s', async (name, check) => {
  expect(existsSync(join(root, 'dist', 'index.mjs'))).toBe(true);
  check(await run(name));
});

describe('the route handler', () => {
  const ask = (body: string, signal?: AbortSignal) =>
    POST(new Request('http://localhost/', { method: 'POST', body, signal }));

  test('refuses a body that is not a prompt', async () => {
    for (const body of ['', '{}', '{"prompt": 4}']) {
      const response = await ask(body);
      expect(response.status).toBe(400);
      expect(await response.json()).toEqual({ error: 'prompt must be a string' });
    }
  });

  test('stops when the client goes away', async () => {
    const client = new AbortController();
    const { body } = await ask('{"prompt": "Reverse lantern"}', client.signal);
    const reader = (body as ReadableStream<Uint8Array>).getReader();
    expect((await reader.read()).done).toBe(false);
    client.abort(new Error('gone'));
    await expect(
      (async () => {
        while (!(await reader.read()).done);
      })(),
    ).rejects.toThrow();
  });

  test('can be cancelled', async () => {
    const { body } = await ask('{"prompt": "Reverse lantern"}');
    const reader = (body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    await expect(reader.cancel()).resolves.toBeUndefined();
  });
});

test('puzzle.txt is solved by the command that docs/models.md shows', async () => {
  const path = 'examples/puzzle.txt';
  const args = ['fill', '--file', path, '--hole', '.', '--tokens-per-hole', '1'];
  const { code, stdout } = await rnd1(args, { cwd: root });
  expect(code).toBe(0);
  const puzzle = gridOf(linesOf(readFileSync(join(root, path), 'utf8').replaceAll('.', '0')));
  expect(puzzle.filter((digit) => digit === 0)).toHaveLength(18);
  expect(isSolution(gridOf(linesOf(stdout)), puzzle)).toBe(true);
});
