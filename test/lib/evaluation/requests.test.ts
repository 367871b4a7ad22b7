import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RND1Error } from '../../../lib';
import {
  type BuildRequestsOptions,
  buildRequests,
  type DataSource,
  type EvaluationRequest,
  scoreOutputs,
  type TaskDefinition,
} from '../../../lib/evaluation';
import { evaluationFolder } from '../../support/evaluation';

const docs = join(evaluationFolder, 'docs');
const folder = mkdtempSync(join(tmpdir(), 'rnd1-evaluation-'));
afterAll(() => rmSync(folder, { recursive: true }));

const build = (task: string, options: Partial<BuildRequestsOptions> = {}) =>
  buildRequests(task, { data: docs, ...options });

describe('options of buildRequests', () => {
  it.each([
    ['gsm9k', {}, "there is no task 'gsm9k'; did you mean 'gsm8k'?"],
    ['race', { version: 4 }, 'race has the versions 2 and 3, not 4'],
    ['race-v2', { version: 3 }, "version is 3, but the task is 'race-v2'"],
    ['gsm8k', { shots: -1 }, 'shots must be an integer, at least 0, not -1'],
    ['gsm8k', { shots: 41 }, 'shots is 41, but there are 40 examples'],
    ['mmlu_anatomy', { shots: 6 }, 'shots is 6, but there are 5 examples'],
    ['gsm8k', { limit: 0 }, 'limit must be a positive integer, or a share below 1, not 0'],
    ['gsm8k', { limit: 1.5 }, 'limit must be a positive integer, or a share below 1, not 1.5'],
    ['gsm8k', { worldSize: 0 }, 'worldSize must be an integer, at least 1, not 0'],
    ['gsm8k', { seed: 0.5 }, 'seed must be an integer'],
    ['gsm8k', { data: 7 as unknown as string }, 'data must be a folder or a function, not 7'],
    ['gsm8k', { shot: 1 } as object, "options has no 'shot'; did you mean 'shots'?"],
  ])('%s with %j', async (task, options, message) => {
    const failed = build(task, options);
    await expect(failed).rejects.toThrow(message);
    await expect(failed).rejects.not.toBeInstanceOf(RND1Error);
  });

  it('a limit below 1 is a share, rounded up', async () => {
    const all = await build('gsm8k');
    const some = await build('gsm8k', { limit: 0.5 });
    expect(some).toHaveLength(Math.ceil(all.length / 2));
    expect(some).toEqual(all.slice(0, some.length));
    expect(some[0]?.available).toBe(all.length);
  });
});

describe('data', () => {
  const write = (path: string, text: string | Buffer) => {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), text);
  };
  const arc = (answerKey: string) =>
    `${JSON.stringify({ question: 'a\u2028b', choices: { label: ['A', 'B'], text: ['x', 'y'] }, answerKey })}\n`;

  it.each([
    'allenai__ai2_arc/ARC-Challenge/test.jsonl',
    'allenai/ai2_arc/ARC-Challenge/test.jsonl',
    'datasets--allenai--ai2_arc/snapshots/0123/ARC-Challenge/test.jsonl',
    'allenai/ai2_arc/data/ARC-Challenge/test.jsonl',
  ])('is found in %s', async (path) => {
    write(join('found', path), arc('A'));
    const [request] = await build('arc_challenge', { data: join(folder, 'found') });
    expect(request?.context).toBe('Question: a\u2028b\nAnswer:');
    rmSync(join(folder, 'found'), { recursive: true });
  });

  it('in parts is read in order', async () => {
    for (const part of [1, 0])
      write(`parts/allenai/ai2_arc/ARC-Challenge/test-0000${part}-of-00002.jsonl`, arc('AB'[part] as string));
    const requests = await build('arc_challenge', { data: join(folder, 'parts') });
    expect(requests.map(({ target }) => target)).toEqual([0, 1]);
  });

  it.each([
    ['{"a": 1}\n\n{"a"', /test\.jsonl, line 3: /],
    ['[1]', /test\.jsonl, line 1: must be an object, not \[ 1 \]/],
    ['', /the data set allenai\/ai2_arc, ARC-Challenge, test is empty/],
    [Buffer.from([0xff]), /test\.jsonl is not text in UTF-8/],
    ['{}', /document 0 of arc_challenge: the column question must be a text, not undefined/],
    [arc('C'), /document 0 of arc_challenge: the column answerKey must be one of the labels, not 'C'/],
  ])('%j is an error', async (text, message) => {
    write('wrong/allenai/ai2_arc/ARC-Challenge/test.jsonl', text);
    const failed = build('arc_challenge', { data: join(folder, 'wrong') });
    await expect(failed).rejects.toThrow(message);
    await expect(failed).rejects.toMatchObject({ code: 'invalid_data' });
  });

  it('that is missing is an error', async () => {
    await expect(build('race', { data: folder })).rejects.toMatchObject({ code: 'invalid_data' });
    await expect(build('race', { data: join(folder, 'none') })).rejects.toMatchObject({ code: 'io' });
  });

  it.each([
    ['1', /the column problems must be a list/],
    ['[', /the column problems is not a list of Python/],
    ['[]', /the column problems must be a list/],
    ['[1]', /the column problems must be a list of objects, not 1/],
    [
      "[{'question': 'q', 'answer': 'E', 'options': ['a', 'b', 'c', 'd']}]",
      /the column answer must be A, B, C or D, not 'E'/,
    ],
    [
      "[{'question': 'q', 'answer': 'A', 'options': ['a']}]",
      /the column options must be a list of 4 texts or more/,
    ],
  ])('problems of RACE: %j', async (problems, message) => {
    const data: DataSource = async () => [{ article: '', problems }];
    await expect(build('race', { data })).rejects.toThrow(message);
  });
});

const greeting: TaskDefinition = {
  kind: 'generation',
  name: 'greeting',
  version: 1,
  documents: { repositories: ['own'], config: 'main', split: 'test' },
  examples: { type: 'drawn', from: { repositories: ['own'], config: 'main', split: 'train' } },
  shots: 1,
  description: 'Greet.\n',
  targetDelimiter: '>',
  until: ['\n'],
  filters: [
    { name: 'none', pattern: null },
    { name: 'word', pattern: /\w+/ },
  ],
  metric: { name: 'exact_match', ignored: [/!$/], ignoreCase: true },
  question: ({ name }) => `${name}:`,
  exampleAnswer: ({ greeting: text }) => text as string,
  target: ({ greeting: text }) => text as string,
};

describe('tasks of the caller', () => {
  const data: DataSource = async ({ split }) =>
    split === 'train'
      ? [{ name: 'Ann', greeting: '' }]
      : [
          { name: 'Bob', greeting: 'Hi Bob!' },
          { name: 'Cy', greeting: 'Hi' },
        ];

  it('are built and scored', async () => {
    const requests = await buildRequests(greeting, { data });
    // An example without an answer has no delimiters.
    expect(requests.map(({ context }) => context)).toEqual(['Greet.\nAnn:Bob:', 'Greet.\nAnn:Cy:']);
    const { tasks, documents, groups } = scoreOutputs(greeting, requests, ['hi bob\nmore', 'Hi!']);
    expect(documents[0]?.filters).toEqual({
      none: { filtered: 'hi bob', scores: { exact_match: 1 } },
      word: { filtered: 'hi', scores: { exact_match: 0 } },
    });
    expect(tasks.greeting?.metrics).toEqual({
      'exact_match,none': { value: 1, standardError: 0, count: 2 },
      'exact_match,word': { value: 0.5, standardError: 0.5, count: 2 },
    });
    expect(groups).toEqual({});
  });
});

describe('wrong outputs', () => {
  const score = async (task: string, output: unknown, options = {}) => {
    const requests = await build(task, { limit: 1, shots: 0, ...options });
    return () => scoreOutputs(task, requests as EvaluationRequest[], output as string[]);
  };

  it.each([
    ['gsm8k', [], 'there are 1 documents, but 0 outputs'],
    ['gsm8k', [[-1]], 'document 0 needs the text of an answer, not [ -1 ]'],
    ['arc_challenge', ['x'], "document 0 needs likelihoods of its choices, not 'x'"],
    ['arc_challenge', [[-1]], 'document 0 has 4 choices, not 1'],
    ['mbpp', ['x'], 'document 0 of mbpp is a program that was not run'],
  ])('%s: %j', async (task, outputs, message) => {
    expect(await score(task, outputs)).toThrow(message);
  });

  it('of another task', async () => {
    const requests = await build('race', { limit: 1 });
    expect(() => scoreOutputs('arc_challenge', requests, [[-1, -1, -1, -1]])).toThrow(
      "documents[0] is of the task 'race', not of 'arc_challenge'",
    );
  });

  it('a single document has no standard error', async () => {
    const requests = await build('race', { limit: 1 });
    const { tasks } = scoreOutputs('race', requests, [[-1, -2, -3, -4]]);
    expect(tasks.race?.metrics).toEqual({ 'acc,none': { value: 1, standardError: null, count: 1 } });
  });
});
