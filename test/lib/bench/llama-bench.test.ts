import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LlamaBench } from '../../../lib/bench/llama-bench';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rnd1-llama-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A program that stores its arguments, then runs `body`. */
function program(body: string): string {
  const path = join(folder, 'llama-bench');
  writeFileSync(path, `#!/bin/sh\nprintf '%s\\n' "$*" > ${join(folder, 'arguments')}\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

const prints = (results: unknown) => program(`cat <<'END'\n${JSON.stringify(results)}\nEND`);
const bench = (path: string, device = 'cpu') => new LlamaBench(path, 'model.gguf', { threads: 3, device });

test('asks for one pass over the prompt and returns its seconds', async () => {
  const results = [
    { n_prompt: 0, n_gen: 64, samples_ns: [1] },
    { n_prompt: 64, n_gen: 0, avg_ns: 9, samples_ns: [250_000_000] },
  ];
  expect(await bench(prints(results)).run(64)).toBe(0.25);
  expect(readFileSync(join(folder, 'arguments'), 'utf8').trim()).toBe(
    '-m model.gguf -p 64 -n 0 -r 1 -t 3 -o json -b 512 -ub 512 -ngl 0',
  );
});

test('a longer prompt is one batch too, and a GPU takes the layers', async () => {
  expect(await bench(prints([{ n_prompt: 1024, n_gen: 0, avg_ns: 5e8 }]), 'cuda:0').run(1024)).toBe(0.5);
  expect(readFileSync(join(folder, 'arguments'), 'utf8')).toMatch(/-b 1024 -ub 1024\n$/);
});

test.each([
  ['another length', [{ n_prompt: 32, n_gen: 0, avg_ns: 5 }]],
  ['no time', [{ n_prompt: 64, n_gen: 0 }]],
  ['a time of zero', [{ n_prompt: 64, n_gen: 0, samples_ns: [0] }]],
  ['no samples', [{ n_prompt: 64, n_gen: 0, samples_ns: [] }]],
  ['no list', { n_prompt: 64 }],
  ['null', [null]],
])('%s is refused, and quoted', async (_, results) => {
  const path = prints(results);
  await expect(bench(path).run(64)).rejects.toMatchObject({
    code: 'io',
    message: expect.stringContaining(`${path} printed no result for a prompt of 64 tokens: '`),
  });
});

test('what is not JSON is refused', async () => {
  await expect(bench(program('echo hello')).run(64)).rejects.toThrow(/64 tokens: 'hello/);
});

test('a failure shows the last line of the program', async () => {
  const path = program('echo loading >&2; echo "cannot read model.gguf" >&2; exit 1');
  await expect(bench(path).run(64)).rejects.toMatchObject({
    code: 'io',
    message: `${path}: cannot read model.gguf`,
  });
});

test('a missing program is named', async () => {
  const path = join(folder, 'none');
  await expect(bench(path).run(64)).rejects.toThrow(`${path}: there is no such program`);
});

test('an abort ends the program', async () => {
  const controller = new AbortController();
  const running = bench(program('sleep 20')).run(64, controller.signal);
  setTimeout(() => controller.abort(new Error('enough')), 50);
  await expect(running).rejects.toThrow('enough');
});
