import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buildRequests } from '../../../lib/evaluation';
import { evaluationFolder } from '../../support/evaluation';

const taskFiles = join(evaluationFolder, 'task-files');
const data = join(evaluationFolder, 'docs');
const contextsOf = async (task: string, options: object = {}) =>
  (await buildRequests(task, { data, prompts: taskFiles, limit: 1, ...options })).map(
    ({ context }) => context,
  );

describe('fixed examples of task files', () => {
  it('of BBH, with what they include', async () => {
    const [context] = await contextsOf('bbh_cot_fewshot_word_sorting');
    expect(context).toBe(
      'Put words in order.\n\n' +
        "Q: Sort: owl ant\nA: Let's think step by step.\n" +
        'The ant comes before the owl. So the answer is ant owl.\n\n' +
        "Q: Sort: yes no\nA: Let's think step by step.\nAn n stands before a y.\nSo the answer is no yes.\n\n" +
        "Q: Sort: elk\nA: Let's think step by step.\nThere is one word.\nSo the answer is elk.\n\n" +
        "Q: Sort the following words alphabetically: List: pear fig apple\nA: Let's think step by step.\n",
    );
  });

  it('of gsm8k_cot', async () => {
    const [context] = await contextsOf('gsm8k_cot', { shots: 1 });
    expect(context).toMatch(
      /^Q: One cup and one cup\?\nA: 1 \+ 1 = 2\. The answer is 2\.\n\nQ: Nine gulls .*\nA:$/,
    );
  });

  it('of MBPP, which a function of Python returns', async () => {
    const [context] = await contextsOf('mbpp', { shots: 1 });
    expect(context).toMatch(
      /^You are an expert .*: Write a function to return one\. Your .*\n\nassert one\(\) == 1\n.*\n.*\n\[BEGIN\]\ndef one\(\):\r\n {2}return 1 \n\[DONE\]\n\nYou are/,
    );
  });

  it.each([
    ['mbpp', { shots: 2 }, 'shots is 2, but there are 1 examples'],
    [
      'bbh_cot_fewshot_word_sorting',
      { version: 3 },
      'the task files hold version 4 of bbh_cot_fewshot_word_sorting',
    ],
    ['bbh-v3', {}, 'does not hold bbh/cot_fewshot/boolean_expressions.yaml'],
    ['gsm8k_cot', { prompts: undefined }, 'gsm8k_cot needs the fixed examples of its task file'],
  ])('%s with %j fails', async (task, options, message) => {
    await expect(contextsOf(task, options)).rejects.toThrow(message);
  });
});

describe('wrong task files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'rnd1-task-files-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  const valid = 'task: gsm8k_cot\ndoc_to_text: "Q: {{question}}\\nA:"\n';
  it.each([
    ['gsm8k/gsm8k-cot.yaml', '{', /gsm8k-cot\.yaml: /],
    ['gsm8k/gsm8k-cot.yaml', '- 1', /must hold keys and values, not \[ 1 \]/],
    ['gsm8k/gsm8k-cot.yaml', 'task: other', /task must be gsm8k_cot, not 'other'/],
    [
      'gsm8k/gsm8k-cot.yaml',
      'task: gsm8k_cot\ndoc_to_text: "{{question}}"',
      /doc_to_text asks in another form/,
    ],
    ['gsm8k/gsm8k-cot.yaml', valid, /fewshot_config\.samples must be a list of objects, not undefined/],
    ['gsm8k/gsm8k-cot.yaml', `${valid}include: gsm8k-cot.yaml`, /gsm8k-cot\.yaml: includes itself/],
    ['gsm8k/gsm8k-cot.yaml', `${valid}include: 7`, /include must be a file, not 7/],
    [
      'gsm8k/gsm8k-cot.yaml',
      `${valid}fewshot_config: {samples: !function missing.f}`,
      /missing\.py cannot be read/,
    ],
    ['gsm8k/gsm8k-cot.yaml', `${valid}fewshot_config: {samples: !function f}`, /f is not a function/],
    [
      'gsm8k/gsm8k-cot.yaml',
      `${valid}fewshot_config: {samples: !function u.f}`,
      /u\.py: f must be a function that returns a literal/,
    ],
    [
      'gsm8k/gsm8k-cot.yaml',
      `${valid}fewshot_config: {samples: []}\nmetadata: {version: x}`,
      /metadata\.version must be a number, not 'x'/,
    ],
    [
      'gsm8k/gsm8k-cot.yaml',
      `${valid}fewshot_config: {samples: []}\ndescription: 1`,
      /description must be a text, not 1/,
    ],
  ])('%s: %j', async (name, text, message) => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
    writeFileSync(join(folder, 'gsm8k', 'u.py'), 'def f():\n    return sorted([])\n');
    await expect(contextsOf('gsm8k_cot', { prompts: folder })).rejects.toThrow(message);
  });
});
