import { spawn } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { BatchBar, batchLine } from '../../../lib/cli/batch-bar';
import { nano, rnd1, root, scratchFolder } from './rnd1';

const scratch = scratchFolder();
let fresh = 0;
const newPath = () => scratch(`file-${fresh++}`);

/** Sums, each of which takes a few steps. */
const sums = (count: number) =>
  Array.from({ length: count }, (_, i) => ({
    custom_id: `sum-${i}`,
    method: 'POST',
    url: '/v1/completions',
    body: {
      prompt: `Question: What is ${i % 50}+${(7 * i) % 50}?\nAnswer:`,
      max_tokens: 4,
      temperature: i % 2,
      steps: 2 + (i % 3),
    },
  }));

function write(lines: readonly object[]): string {
  const path = newPath();
  writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  return path;
}

const sorted = (path: string) => readFileSync(path, 'utf8').split('\n').sort();
const main = join(root, 'dist', 'cli', 'main.js');

/** Starts a batch and kills it once its output holds this many bytes; returns whether it had ended before. */
async function killedAt(bytes: number, args: readonly string[]): Promise<boolean> {
  const output = args[1] as string;
  const child = spawn(process.execPath, [main, 'batch', ...args], { stdio: 'ignore' });
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  const size = () => (existsSync(output) ? statSync(output).size : 0);
  while (child.exitCode === null && size() < bytes) await wait(2);
  child.kill('SIGKILL');
  await ended;
  return child.exitCode !== null;
}

test('answers requests of all kinds, with their errors, and says how many', async () => {
  const output = newPath();
  const lines = readFileSync(join(root, 'examples', 'batch.jsonl'), 'utf8');
  const input = newPath();
  const wrong = { custom_id: 'wrong', method: 'POST', url: '/v1/fill', body: { text: 'a', hol: '_' } };
  writeFileSync(input, `${JSON.stringify(wrong)}\n${lines}`);
  const { code, stdout, stderr } = await rnd1(['batch', input, output]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(/^.*file-\d+: 6 lines, 1 with errors, \d+ tokens in [\d.]+ s, [\d.]+ tokens\/s\n$/);
  const answers = readFileSync(output, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(answers.map(({ custom_id, response }) => [custom_id, response.status_code])).toEqual([
    ['wrong', 400],
    ['sum', 200],
    ['sort', 200],
    ['between', 200],
    ['holes', 200],
    ['sampled', 200],
  ]);
  expect(answers[0].response.body.error).toMatchObject({ code: 'unknown_field', param: 'hol' });
  expect(answers[1].response.body.choices[0].message.content).toBe('85');
  expect(answers[3].response.body.written).toEqual(['13']);
  // The answer of the command line, too.
  const [{ seed }] = [answers[5].response.body];
  const alone = await rnd1([
    'generate',
    'Reverse lantern',
    '--temperature',
    '0.7',
    '--seed',
    String(seed),
    '--schedule',
    'entropy',
  ]);
  expect(alone.stdout).toBe(`${answers[5].response.body.choices[0].message.content}\n`);
});

test('one at a time or many, in order or not: the same lines', async () => {
  const input = write(sums(60));
  const [alone, many, unordered, named] = [newPath(), newPath(), newPath(), newPath()];
  await rnd1(['batch', input, alone, '--max-running', '1', '--threads', '1']);
  await rnd1(['batch', input, many]);
  await rnd1(['batch', input, unordered, '--unordered', '--quiet']);
  expect(readFileSync(many).equals(readFileSync(alone))).toBe(true);
  expect(sorted(unordered)).toEqual(sorted(alone));
  await rnd1(['batch', input, named, '--name', 'other']);
  expect(readFileSync(named, 'utf8')).toBe(
    readFileSync(alone, 'utf8').replaceAll('"model":"nano"', '"model":"other"'),
  );
});

test.each([[[]], [['--unordered']]])('goes on after kill -9, with %j', async (flags) => {
  const input = write(sums(200));
  const [whole, output] = [newPath(), newPath()];
  await rnd1(['batch', input, whole, ...flags]);
  const size = statSync(whole).size;
  let kills = 0;
  for (const share of [0.05, 0.3, 0.35, 0.8]) {
    if (!(await killedAt(share * size, [input, output, ...flags, '--max-running', '8']))) kills++;
    expect(existsSync(`${output}.lock`)).toBe(true);
  }
  expect(kills).toBe(4);
  const { code, stdout } = await rnd1(['batch', input, output, ...flags]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/: 200 lines, \d+ of an earlier run, /);
  expect(sorted(output)).toEqual(sorted(whole));
  if (flags.length === 0) expect(readFileSync(output).equals(readFileSync(whole))).toBe(true);
  expect(existsSync(`${output}.lock`)).toBe(false);
  const again = await rnd1(['batch', input, output, ...flags]);
  expect(again.stdout).toMatch(/: 200 lines, 200 of an earlier run\n$/);
});

test('Ctrl-C ends it after the answers so far', async () => {
  const input = write(sums(500));
  const output = newPath();
  const child = spawn(process.execPath, [main, 'batch', input, output]);
  let stderr = '';
  child.stderr.on('data', (chunk) => {
    stderr += chunk;
  });
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  while (!existsSync(output) || statSync(output).size === 0) await wait(2);
  child.kill('SIGINT');
  await ended;
  expect([child.exitCode, stderr]).toEqual([130, expect.any(String)]);
  const [, lines] = /^rnd1: (\d+) of 500 lines are answered; the same command goes on\n$/.exec(stderr) ?? [];
  expect(readFileSync(output, 'utf8').split('\n').length - 1).toBe(Number(lines));
});

test('a wrong file is refused before the model is loaded', async () => {
  const good = sums(1)[0] as object;
  const input = write([good, { ...good, custom_id: 'b', method: 'GET' }]);
  const output = newPath();
  const { code, stdout, stderr } = await rnd1(['batch', input, output, '--model', 'nowhere']);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toBe(`rnd1: ${input}, line 2: method must be 'POST', not 'GET'\n`);
  expect(existsSync(output)).toBe(false);
  const absent = await rnd1(['batch', join(nano, 'absent'), output]);
  expect(absent.stderr).toContain(`cannot read ${join(nano, 'absent')}: ENOENT`);
  const nowhere = await rnd1(['batch', write([good]), join(newPath(), 'output')]);
  expect(nowhere.stderr).toMatch(/^rnd1: cannot write .*: ENOENT/);
});

describe('the bar', () => {
  test('shows lines, errors, tokens per second and the time left', () => {
    const progress = { total: 200, done: 100, failed: 0, resumed: 0, tokens: 400 };
    expect(batchLine({ ...progress, done: 0, tokens: 0 }, 0)).toBe(`${'░'.repeat(24)} 0/200 lines`);
    expect(batchLine(progress, 80)).toBe(
      `${'█'.repeat(12)}${'░'.repeat(12)} 100/200 lines, 5.0 tokens/s, 1:20 left`,
    );
    expect(batchLine({ ...progress, resumed: 50, failed: 1 }, 10)).toContain(
      '100/200 lines, 1 error, 40.0 tokens/s, 0:20 left',
    );
  });

  test('is drawn in a terminal only', () => {
    const drawn = (isTTY: boolean) => {
      let [text, time] = ['', 0];
      const terminal = { isTTY, columns: 80, write: (more: string) => (text += more) };
      const bar = new BatchBar(terminal, () => (time += 100));
      bar.begin('checking in.jsonl');
      bar.update({ total: 2, done: 1, failed: 0, resumed: 0, tokens: 3 });
      bar.close();
      return text;
    };
    expect(drawn(false)).toBe('');
    expect(drawn(true)).toContain('1/2 lines');
  });
});
