import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { evalLine } from '../../../lib/cli/eval-view';
import { LocalHub } from '../hub/local-hub';
import { rnd1, root, scratchFolder } from './rnd1';

const scratch = scratchFolder();
const main = join(root, 'dist', 'cli', 'main.js');
const quick = ['--steps', '4', '--max-new-tokens', '12'];

test('prints a table of groups and tasks', async () => {
  const { code, stdout, stderr } = await rnd1(['eval', '--tasks', 'nano', '--limit', '2', '--steps', '16']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const lines = stdout.trimEnd().split('\n');
  expect(lines).toHaveLength(9);
  expect(lines[0]).toMatch(/^task +version +shots +metric +filter +value +± +documents +tokens\/pass$/);
  expect(lines[1]).toMatch(/^nano +1 +0 +exact_match +none +[\d.]+ % +[\d.]+ % +14 of 1400 +[\d.]+$/);
  expect(lines[2]).toMatch(/^nano_add +1 +0 +exact_match +none +100\.0 % +0\.0 % +2 of 200 +[\d.]+$/);
});

test('choices from a folder of data, as JSON', async () => {
  const folder = scratch('data');
  mkdirSync(join(folder, 'allenai', 'ai2_arc', 'ARC-Challenge'), { recursive: true });
  const documents = [
    { question: 'What is 47+38?', choices: { label: ['1', '2'], text: ['85', '84'] }, answerKey: '1' },
    { question: 'What is 12+30?', choices: { label: ['1', '2'], text: ['24', '42'] }, answerKey: '2' },
  ];
  writeFileSync(
    join(folder, 'allenai', 'ai2_arc', 'ARC-Challenge', 'test.jsonl'),
    documents.map((each) => `${JSON.stringify(each)}\n`).join(''),
  );
  const args = ['eval', '--tasks', 'arc_challenge', '--data', folder, '--estimator', 'llada', '--mc', '16'];
  const { code, stdout } = await rnd1([...args, '--json', '--quiet']);
  expect(code).toBe(0);
  const results = JSON.parse(stdout);
  expect(results.results.arc_challenge).toMatchObject({ 'acc,none': 1, 'acc_stderr,none': 0 });
  expect(results.config).toMatchObject({
    model: 'rnd1',
    tasks: ['arc_challenge'],
    likelihood: { estimator: 'llada', samples: 16 },
    fewshot_seed: 1234,
  });
  const table = await rnd1([...args, '--quiet']);
  expect(table.stdout).toMatch(/arc_challenge +1 +0 +acc_norm +none +100\.0 % +0\.0 % +2 +–\n$/);
});

test('data as Parquet give what they give as JSON lines', async () => {
  const results = async (folder: string) => {
    const run = ['--limit', '4', '--shots', '1', '--mc', '2', '--mc-batch', '2', '--json', '--quiet'];
    const { code, stdout, stderr } = await rnd1([
      ...['eval', '--tasks', 'arc_challenge', '--data', folder, ...run],
    ]);
    expect([code, stderr]).toEqual([0, '']);
    return JSON.parse(stdout).results;
  };
  const docs = join(root, 'test', 'fixtures', 'evaluation', 'docs');
  const folder = scratch('parquet');
  const inside = join('allenai__ai2_arc', 'ARC-Challenge');
  mkdirSync(join(folder, inside), { recursive: true });
  for (const split of ['train', 'test']) {
    const files = [
      join(docs, inside, `${split}.jsonl`),
      join(folder, inside, `${split}-00000-of-00001.parquet`),
    ];
    execFileSync(process.execPath, [join(root, 'test/support/write-parquet.mjs'), ...files]);
  }
  expect(await results(folder)).toEqual(await results(docs));
  writeFileSync(join(folder, inside, 'test-00000-of-00001.parquet'), 'nothing');
  const wrong = await rnd1(['eval', '--tasks', 'arc_challenge', '--data', folder, '--quiet']);
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toMatch(/test-00000-of-00001\.parquet is no Parquet file that can be read: /);
});

describe('--download', () => {
  let hub: LocalHub;
  beforeAll(async () => {
    hub = await LocalHub.start();
  });
  afterAll(() => hub.close());

  const docs = join(root, 'test', 'fixtures', 'evaluation', 'docs');
  const quickly = ['--limit', '2', '--shots', '1', '--mc', '2', '--mc-batch', '2', '--json', '--quiet'];
  const run = (args: readonly string[], home: string) =>
    rnd1(['eval', '--tasks', 'arc_challenge', ...quickly, ...args], {
      env: { HF_ENDPOINT: hub.url, HF_HOME: home, HF_HUB_CACHE: undefined, HF_HUB_OFFLINE: '', HF_TOKEN: '' },
    });

  test('fetches what --data has not, once', async () => {
    const folder = join(docs, 'allenai__ai2_arc', 'ARC-Challenge');
    const files = Object.fromEntries(
      ['train', 'test'].map((split) => [
        `ARC-Challenge/${split}.jsonl`,
        readFileSync(join(folder, `${split}.jsonl`)),
      ]),
    );
    hub.add('datasets/allenai/ai2_arc', files);
    const here = await run(['--data', docs], scratch('home'));
    const fetched = await run(['--download'], scratch('home'));
    expect([fetched.code, fetched.stderr]).toEqual([0, '']);
    expect(JSON.parse(fetched.stdout).results).toEqual(JSON.parse(here.stdout).results);
    expect(JSON.parse(fetched.stdout).config.data).toBe('hub');
    hub.reset();
    const again = await run(['--download'], scratch('home'));
    expect(JSON.parse(again.stdout).results).toEqual(JSON.parse(fetched.stdout).results);
    expect(hub.requests.filter(({ url }) => url.includes('/resolve/'))).toEqual([]);
    expect((await run(['--download', '--data', docs], scratch('nothing'))).code).toBe(0);
  });

  test('tells which data set is missing, and which parts', async () => {
    hub.add('datasets/allenai/ai2_arc', {});
    const nothing = await run(['--download'], scratch('second'));
    expect(nothing).toMatchObject({ code: 1, stdout: '' });
    expect(nothing.stderr).toContain('the data set allenai/ai2_arc, ARC-Challenge, test is not there');
    hub.add('datasets/allenai/ai2_arc', { 'ARC-Challenge/test-00000-of-00002.parquet': Buffer.from('x') });
    const half = await run(['--download'], scratch('second'));
    expect(half.stderr).toMatch(/test-00000-of-00002\.parquet: 1 of 2 parts of this split are there/);
  });
});

test('--download fetches task files, once', async () => {
  const evaluation = join(root, 'test', 'fixtures', 'evaluation');
  const asked: string[] = [];
  const server = createServer(({ url = '' }, response) => {
    asked.push(url);
    const [, commit, path] =
      /^\/EleutherAI\/lm-evaluation-harness\/(\w{40})\/lm_eval\/tasks\/(.*)$/.exec(url) ?? [];
    response.statusCode = commit === undefined ? 404 : 200;
    response.end(commit === undefined ? '' : readFileSync(join(evaluation, 'task-files', path as string)));
  });
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  try {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const home = scratch('task-files');
    const run = (prompts: readonly string[], env: Record<string, string> = {}) =>
      rnd1(
        [
          ...[
            'eval',
            '--tasks',
            'gsm8k_cot,bbh_cot_fewshot_word_sorting',
            '--data',
            join(evaluation, 'docs'),
          ],
          ...['--shots', '1', '--limit', '1', '--max-new-tokens', '8', '--steps', '1', '--json', '--quiet'],
          ...prompts,
        ],
        { env: { RND1_GITHUB_URL: url, HF_HOME: home, HF_HUB_CACHE: undefined, HF_TOKEN: '', ...env } },
      );
    const here = await run(['--prompts', join(evaluation, 'task-files')]);
    const fetched = await run(['--download']);
    expect([here, fetched].map(({ code, stderr }) => [code, stderr])).toEqual([
      [0, ''],
      [0, ''],
    ]);
    expect(JSON.parse(fetched.stdout).results).toEqual(JSON.parse(here.stdout).results);
    expect(asked.map((path) => path.slice(path.lastIndexOf('/') + 1)).sort()).toEqual([
      '_cot_fewshot_template_yaml',
      'gsm8k-cot.yaml',
      'word_sorting.yaml',
    ]);
    expect(await run(['--download'], { HF_HUB_OFFLINE: '1' })).toMatchObject({ code: 0, stderr: '' });
    expect(asked).toHaveLength(3);
  } finally {
    await new Promise((done) => server.close(done));
  }
});

test('two results are compared document by document', async () => {
  const folders = [16, 1].map((steps) => scratch(`steps-${steps}`));
  for (const [i, steps] of ['16', '1'].entries())
    expect(
      await rnd1([
        ...['eval', '--tasks', 'nano_sudoku_4x4', '--limit', '20', '--steps', steps, '--quiet'],
        ...['--output', folders[i] as string],
      ]),
    ).toMatchObject({ code: 0 });
  const { code, stdout } = await rnd1(['eval', '--compare', ...folders]);
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^task .* p\nnano_sudoku_4x4 +exact_match +none +20 +100\.0 % +[\d.]+ % +−[\d.]+ % /,
  );
  const [pair] = JSON.parse((await rnd1(['eval', '--json', '--compare', ...folders])).stdout);
  expect(pair).toMatchObject({ documents: 20, unpaired: 0, promptsDiffer: false, first: 1, better: 0 });
  expect(pair.worse).toBe(Math.round(20 * (1 - pair.second)));
  expect(pair.probability).toBeCloseTo(Math.min(1, 2 * 0.5 ** pair.worse));
  const page = scratch('report.html');
  const report = await rnd1(['eval', '--report', page, ...folders]);
  expect(report).toEqual({ code: 0, stdout: `${page}: report on ${folders.join(', ')}\n`, stderr: '' });
  expect(readFileSync(page, 'utf8')).toContain('<th>steps-16</th><th>steps-1</th>');
  for (const [args, message] of [
    [['--compare', folders[0] as string], '--compare takes two folders'],
    [['--tasks', 'nano', '--compare', ...folders], 'exclude each other'],
    [['--report', page], '--report needs folders of results'],
    [['--tasks', 'nano', '--report', page], '--report needs --output'],
    [['--tasks', 'nano', ...folders], 'folders of results are for --compare and --report'],
  ] as const) {
    const { code, stderr } = await rnd1(['eval', ...args]);
    expect([code, stderr.includes(message)]).toEqual([2, true]);
  }
});

test('programs of the model are run only if that is allowed', async () => {
  const docs = join(root, 'test', 'fixtures', 'evaluation', 'docs');
  const task = ['--tasks', 'mbpp', '--shots', '0', '--data', docs, '--limit', '1', '--max-new-tokens', '4'];
  const refused = await rnd1(['eval', ...task]);
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toMatch(
    /^rnd1: mbpp runs programs that the model writes, .*--allow-code-execution\n$/,
  );
  const alone = await rnd1(['eval', ...task, '--sandbox', 'none']);
  expect([alone.code, alone.stderr.includes('--sandbox needs --allow-code-execution')]).toEqual([2, true]);
  const allowed = await rnd1(['eval', ...task, '--allow-code-execution', '--json', '--quiet']);
  if (allowed.stderr.includes('programs cannot be run safely here')) {
    process.stderr.write(`SKIPPED: ${allowed.stderr}`);
    return;
  }
  const { results, config } = JSON.parse(allowed.stdout);
  expect(results.mbpp).toMatchObject({ sample_len: 1, 'pass_at_1,none': 0 });
  expect(config).toMatchObject({
    python: expect.stringMatching(/^3\./),
    sandbox: expect.stringMatching(/bwrap|unshare/),
  });
});

test('a prompt that is too long for the model is named', async () => {
  const docs = join(root, 'test', 'fixtures', 'evaluation', 'docs');
  const args = ['--tasks', 'arc_challenge', '--data', docs, '--shots', '20', '--limit', '2', '--quiet'];
  const { code, stderr } = await rnd1(['eval', ...args]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/^rnd1: document [01] of arc_challenge: .*but the model attends to 256\n$/);
});

test('kill -9 loses no answer, and the same command goes on', async () => {
  const tasks = ['--tasks', 'nano_add,nano_sort', '--limit', '100', '--concurrency', '4', ...quick];
  const whole = scratch('whole');
  expect(await rnd1(['eval', ...tasks, '--quiet', '--output', whole])).toMatchObject({ code: 0, stderr: '' });
  const killed = scratch('killed');
  const answers = join(killed, 'answers.jsonl');
  for (const bytes of [500, 5000, 12_000]) {
    const child = spawn(process.execPath, [main, 'eval', ...tasks, '--output', killed], { stdio: 'ignore' });
    const ended = new Promise((resolve) => child.on('close', resolve));
    while (child.exitCode === null && !(existsSync(answers) && statSync(answers).size >= bytes))
      await wait(2);
    child.kill('SIGKILL');
    await ended;
  }
  const before = readFileSync(answers, 'utf8').split('\n').length;
  expect(before).toBeGreaterThan(10);
  expect((await rnd1(['eval', ...tasks, '--quiet', '--output', killed])).code).toBe(0);
  const sorted = (folder: string) => readFileSync(join(folder, 'answers.jsonl'), 'utf8').split('\n').sort();
  expect(sorted(killed)).toEqual(sorted(whole));
  const resultsOf = (folder: string) => {
    const { date: _, ...rest } = JSON.parse(readFileSync(join(folder, 'results.json'), 'utf8'));
    return rest;
  };
  expect(resultsOf(killed)).toEqual(resultsOf(whole));
  for (const task of ['nano_add', 'nano_sort']) {
    const name = `samples_${task}.jsonl`;
    expect(readFileSync(join(killed, name), 'utf8')).toBe(readFileSync(join(whole, name), 'utf8'));
  }
  const other = await rnd1(['eval', ...tasks, '--steps', '5', '--output', killed]);
  expect(other).toMatchObject({ code: 1, stdout: '' });
  expect(other.stderr).toContain('holds results of other settings: gen_kwargs was {"steps":4');
});

test.each([
  [[], '--tasks is needed: --tasks nano, for example'],
  [['--tasks', 'gsm9k'], "there is no task 'gsm9k'; did you mean 'gsm8k'?"],
  [['--tasks', 'nano', '--limit', '1.5'], 'It must be a positive integer, or a share below 1.'],
  [['--tasks', 'nano', '--mc', '0'], '--mc'],
] as const)('%j is wrong usage', async (args, message) => {
  const { code, stdout, stderr } = await rnd1(['eval', ...args]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain(message);
});

test('data that are not there are an error that names them', async () => {
  const { code, stderr } = await rnd1(['eval', '--tasks', 'gsm8k', '--quiet']);
  expect(code).toBe(1);
  expect(stderr).toBe(
    'rnd1: the data set openai/gsm8k, main, test is not there: --data names a folder that has it; --download fetches it\n',
  );
});

test('the bar counts documents and the time left', () => {
  expect(evalLine({ done: 0, total: 4, known: 0 }, 0)).toMatch(/ 0\/4 documents$/);
  expect(evalLine({ done: 3, total: 4, known: 1 }, 10)).toMatch(/ 3\/4 documents, 0:05 left$/);
  expect(evalLine({ done: 0, total: 0, known: 0 }, 1)).toMatch(/ 0\/0 documents$/);
});
