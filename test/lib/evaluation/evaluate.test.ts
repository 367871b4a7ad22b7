import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiffusionLM, type DiffusionLM as Model } from '../../../lib';
import {
  type AnsweredDocument,
  buildRequests,
  type EvaluationProgress,
  evaluate,
  harnessResults,
  harnessSamples,
  ProgramRunner,
  type TaskDefinition,
} from '../../../lib/evaluation';
import { makeGrid } from '../../../lib/evaluation/nano/grids';
import { PythonRandom } from '../../../lib/evaluation/python/random';
import { presetSettings } from '../../../lib/evaluation/run/presets';
import { scoreOutputs } from '../../../lib/evaluation/scoring/scores';

let model: Model;
let folder = '';
beforeAll(async () => {
  model = await DiffusionLM.load({ dtype: 'f32', threads: 2 });
  folder = mkdtempSync(join(tmpdir(), 'rnd1-evaluate-'));
});
afterAll(async () => {
  await model.dispose();
  rmSync(folder, { recursive: true });
});

const sums = { tasks: ['nano_add'], limit: 6, generation: { steps: 4, maxNewTokens: 12 } } as const;

/** Sums as choices. */
const choices = async () =>
  [
    ['47+38', '85', '84'],
    ['12+30', '42', '24'],
    ['9+9', '18', '19'],
  ].map(([sum, right, wrong]) => ({
    question: `What is ${sum}?`,
    choices: { label: ['A', 'B'], text: [right, wrong] },
    answerKey: 'A',
  }));

test('nano knows what it has learned', async () => {
  const [nano] = await evaluate(model, { tasks: ['nano'], limit: 5 });
  expect(Object.keys(nano?.tasks ?? {})).toEqual([
    'nano_add',
    'nano_subtract',
    'nano_sort',
    'nano_reverse',
    'nano_sudoku_4x4',
    'nano_sudoku_6x6',
    'nano_sudoku_6x6_hard',
  ]);
  const group = nano?.groups.nano;
  expect([group?.samples, group?.available]).toEqual([35, 1400]);
  expect(group?.metrics['exact_match,none']?.value).toBeGreaterThan(0.9);
});

test('a wrong grid, and one that has changed its givens, are wrong', async () => {
  const [request] = await buildRequests('nano_sudoku_4x4', { limit: 1 });
  const cells = String(request?.document.cells);
  const grid = makeGrid(4, new PythonRandom(1));
  const text = (digits: string) => `Sudoku 4x4\n${digits.replaceAll(/(.{4})/g, '$1\n')}`;
  const scoreOf = (filled: string) =>
    scoreOutputs('nano_sudoku_4x4', [request as NonNullable<typeof request>], [filled]).documents[0]?.filters
      .none?.scores;
  expect(scoreOf(text(grid.join('')))).toEqual({ exact_match: 0 });
  expect(scoreOf(text(cells))).toEqual({ exact_match: 0 });
  const result = await model.fill(request?.template as string, { steps: 16 });
  expect(scoreOf(result.text)).toEqual({ exact_match: 1 });
  expect(scoreOf(result.text.slice(0, 20))).toEqual({ exact_match: 0 });
});

test('how many documents are answered at once changes nothing', async () => {
  const one = await evaluate(model, { ...sums, concurrency: 1 });
  const many = await evaluate(model, { ...sums, concurrency: 6 });
  expect(many).toEqual(one);
  // The model is sure of its sums.
  const sampled = { ...sums, generation: { ...sums.generation, temperature: 4 } };
  const answers = async (drawSeed: number, concurrency: number) =>
    (await evaluate(model, { ...sampled, drawSeed, concurrency }))[0]?.answers.map(({ output }) => output);
  const first = await answers(1, 1);
  expect(await answers(1, 6)).toEqual(first);
  expect(await answers(2, 6)).not.toEqual(first);
});

test('choices are compared by likelihood, with the error of the estimate', async () => {
  const options = { data: choices, likelihood: { samples: 32 } };
  const [task] = await evaluate(model, { tasks: ['arc_challenge'], ...options });
  expect(task?.tasks.arc_challenge?.metrics['acc,none']).toMatchObject({ value: 1, count: 3 });
  const [answer] = task?.answers ?? [];
  expect(answer?.output).toHaveLength(2);
  expect(answer?.standardErrors).toHaveLength(2);
  expect(answer).toMatchObject({ tokens: 0, unmasked: 0, ended: true });
  expect(answer?.passes).toBeGreaterThan(2);
  // Another seed draws other masks.
  const [other] = await evaluate(model, { tasks: ['arc_challenge'], ...options, drawSeed: 1 });
  expect(other?.answers[0]?.output).not.toEqual(answer?.output);
  const results = harnessResults([task as NonNullable<typeof task>], { model: 'rnd1' }, new Date(5000));
  expect(results).toMatchObject({
    config: { model: 'rnd1' },
    date: 5,
    higher_is_better: { arc_challenge: { acc: true, acc_norm: true } },
    rnd1: { costs: { arc_challenge: { tokensPerPass: null, cut: null } } },
  });
  expect(results.rnd1.costs.arc_challenge?.likelihoodError).toBeGreaterThan(0);
  expect(harnessSamples(task as NonNullable<typeof task>)[0]).toMatchObject({
    doc_id: 0,
    target: 0,
    arguments: {
      gen_args_0: { arg_0: 'Question: What is 47+38?\nAnswer:', arg_1: ' 85' },
      gen_args_1: { arg_1: ' 84' },
    },
    resps: [[[expect.any(Number), false]], [[expect.any(Number), false]]],
    filter: 'none',
    acc: 1,
  });
});

test('given answers are not computed again, unless the prompt is another', async () => {
  const [whole] = await evaluate(model, sums);
  const known = (whole?.answers ?? []).slice(0, 4).map((answer, i) => ({
    ...answer,
    output: 'known',
    prompt: i === 0 ? 'other' : answer.prompt,
  }));
  const added: AnsweredDocument[] = [];
  const progress: EvaluationProgress[] = [];
  const [again] = await evaluate(model, {
    ...sums,
    answered: known,
    onAnswer: (answer) => void added.push(answer),
    onProgress: (each) => void progress.push(each),
  });
  expect(added.map(({ docId }) => docId).sort()).toEqual([0, 4, 5]);
  expect(again?.answers.map(({ output }) => output)).toEqual([
    whole?.answers[0]?.output,
    'known',
    'known',
    'known',
    whole?.answers[4]?.output,
    whole?.answers[5]?.output,
  ]);
  expect(progress.map(({ done }) => done)).toEqual([3, 4, 5, 6]);
  expect(progress[0]).toEqual({ done: 3, total: 6, known: 3 });
});

test('costs count passes, tokens up to the end, and answers that were cut', async () => {
  const [short] = await evaluate(model, { ...sums, generation: { steps: 2, maxNewTokens: 2 } });
  const { costs } = harnessResults([short as NonNullable<typeof short>], {}).rnd1;
  expect(costs.nano_add?.cut).toBe(1);
  const [long] = await evaluate(model, sums);
  const { nano_add: cost } = harnessResults([long as NonNullable<typeof long>], {}).rnd1.costs;
  // A blank, two or three digits, the end.
  expect(cost?.cut).toBe(0);
  expect(cost?.passes).toBe(long?.answers.reduce((sum, { passes }) => sum + passes, 0));
  expect(cost?.tokensPerPass).toBeCloseTo(
    (long?.answers.reduce((sum, { output }) => sum + String(output).length + 1, 0) ?? 0) /
      (cost?.passes ?? 1),
  );
  expect(cost?.unmaskedPerPass).toBeGreaterThan(cost?.tokensPerPass ?? Infinity);
});

test('a task of one’s own', async () => {
  const own: TaskDefinition = {
    kind: 'generation',
    name: 'own',
    version: 7,
    documents: { repositories: ['me/mine'], config: 'main', split: 'test' },
    examples: { type: 'fixed', examples: { samples: [] } },
    shots: 0,
    description: '',
    targetDelimiter: ' ',
    until: ['\n'],
    filters: [{ name: 'number', pattern: /\d+/ }],
    metric: { name: 'exact_match', ignored: [], ignoreCase: false },
    question: ({ ask }) => `Question: ${ask}\nAnswer:`,
    exampleAnswer: () => '',
    target: ({ right }) => String(right),
  };
  const data = async () => [{ ask: 'What is 3+4?', right: 7 }];
  const [task] = await evaluate(model, { tasks: [own], data, generation: sums.generation });
  expect(task?.tasks.own).toMatchObject({ version: 7, metrics: { 'exact_match,number': { value: 1 } } });
});

describe('programs', () => {
  const task: TaskDefinition = {
    kind: 'generation',
    name: 'programs',
    version: 1,
    documents: { repositories: ['me/programs'], config: 'main', split: 'test' },
    examples: { type: 'fixed', examples: { samples: [] } },
    shots: 0,
    description: '',
    targetDelimiter: '',
    until: ['\n'],
    filters: [{ name: 'none', pattern: null }],
    metric: { name: 'pass_at_1' },
    question: ({ ask }) => `Question: ${ask}\nAnswer: `,
    exampleAnswer: () => '',
    target: ({ tests }) => String(tests),
  };
  const data = async () => [
    { ask: 'What is 3+4?', tests: 'assert True' },
    { ask: 'What is 3+4?', tests: 'assert False' },
  ];
  const options = { tasks: [task], data, generation: sums.generation };

  test('are refused unless something runs them', async () => {
    await expect(evaluate(model, options)).rejects.toThrow(
      'programs runs programs that the model writes, which must be allowed',
    );
  });

  test('are run with their tests behind them', async () => {
    const programs = await ProgramRunner.open().catch((error: Error) => {
      process.stderr.write(`SKIPPED: running programs: ${error.message}\n`);
      return undefined;
    });
    if (programs === undefined) return;
    try {
      const [evaluated] = await evaluate(model, { ...options, programs });
      expect(evaluated?.answers.map(({ output }) => output)).toEqual([
        { text: '7', passed: true },
        { text: '7', passed: false },
      ]);
      expect(evaluated?.tasks.programs?.metrics['pass_at_1,none']?.value).toBe(0.5);
    } finally {
      await programs.close();
    }
  });
});

test('wrong options are refused before anything is computed', async () => {
  const refused = (options: object) => expect(evaluate(model, { tasks: ['nano_add'], ...options })).rejects;
  await refused({ tasks: [] }).toThrow('tasks must be a list of names');
  await refused({ tasks: ['nano_ad'] }).toThrow("did you mean 'nano_add'?");
  await refused({ tasks: ['nano', 'nano_sort'] }).toThrow('tasks has nano_sort twice');
  await refused({ concurrency: 0 }).toThrow('concurrency must be');
  await refused({ likelihood: { samples: 3, batch: 2 } }).toThrow('samples is 3');
  await refused({ likelihood: { sample: 3 } }).toThrow('sample');
  await refused({ tasks: ['gsm8k'] }).toThrow('the data set openai/gsm8k, main, test is not there');
  await refused({ generation: { steps: -1 } }).toThrow('steps');
  await refused({ generation: { step: 1 } }).toThrow('step');
});

describe('published settings', () => {
  test('are those of the task or its group, and of no other', () => {
    expect(presetSettings('llada-paper', 'mmlu_anatomy')).toEqual({
      shots: 5,
      likelihood: { estimator: 'llada', samples: 1, batch: 1 },
    });
    expect(presetSettings('llada-paper', 'bbh-v3').version).toBe(3);
    expect(presetSettings('dream-paper', 'race')).toMatchObject({ version: 2, likelihood: { batch: 32 } });
    expect(() => presetSettings('llada-paper', 'gsm8k_cot')).toThrow(
      'preset llada-paper has no settings for gsm8k_cot: mmlu, arc_challenge, bbh, gsm8k, mbpp',
    );
    expect(() => presetSettings('dream-paper', 'gsm8k')).toThrow('no settings for gsm8k');
  });

  test('are used where nothing else is asked for', async () => {
    const options = { tasks: ['arc_challenge'], data: choices, preset: 'llada-paper' } as const;
    const own = { estimator: 'llada', samples: 128, batch: 8, guidance: 0.5 } as const;
    const [published] = await evaluate(model, options);
    const [plain] = await evaluate(model, { ...options, preset: undefined, likelihood: own });
    expect(published).toEqual(plain);
    const fewer = { ...options, likelihood: { samples: 8 } };
    const [less] = await evaluate(model, fewer);
    expect(less?.answers[0]?.passes).toBeLessThan(published?.answers[0]?.passes ?? 0);
    await expect(evaluate(model, { ...options, preset: 'dream-paper' })).rejects.toThrow(
      'beginning-of-text token, which the model lacks',
    );
    const gsm8k = async ({ split }: { split: string }) =>
      split === 'test'
        ? [{ question: 'How many are 3 and 4?', answer: '#### 7' }]
        : Array.from({ length: 6 }, (_, i) => ({ question: `q${i}`, answer: '#### 1' }));
    const long = evaluate(model, { tasks: ['gsm8k'], data: gsm8k, preset: 'llada-paper' });
    await expect(long).rejects.toThrow(/^document 0 of gsm8k: the canvas would have/);
    const [short] = await evaluate(model, {
      ...{ tasks: ['gsm8k'], data: gsm8k, preset: 'llada-paper' },
      generation: { maxNewTokens: 8 },
    });
    expect(short?.tasks.gsm8k?.shots).toBe(5);
  });
});

test('an abort rejects with its reason, and so does what onAnswer throws', async () => {
  const controller = new AbortController();
  const stop = new Error('enough');
  const seen: number[] = [];
  const running = evaluate(model, {
    ...sums,
    concurrency: 1,
    signal: controller.signal,
    onAnswer({ docId }) {
      seen.push(docId);
      controller.abort(stop);
    },
  });
  await expect(running).rejects.toBe(stop);
  expect(seen).toEqual([0]);
  const failing = evaluate(model, { ...sums, onAnswer: () => Promise.reject(new Error('full')) });
  await expect(failing).rejects.toThrow('full');
});
