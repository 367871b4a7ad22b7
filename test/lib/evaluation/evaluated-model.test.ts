import { type EvaluationQuestion, evaluate } from '../../../lib/evaluation';

const sums = { tasks: ['nano_add'], limit: 6, generation: { steps: 4, maxNewTokens: 12 } } as const;

test('whatever answers can be evaluated, and is asked in plain JSON', async () => {
  const asked: EvaluationQuestion[] = [];
  const answer = async (question: EvaluationQuestion) => {
    asked.push(question);
    const [, a, b] = /(\d+)\+(\d+)/.exec(question.context) ?? [];
    return { output: ` ${Number(a) + Number(b)}`, passes: 1, tokens: 2, unmasked: 2, ended: true };
  };
  const oracle = { causal: false, vocabulary: 10, beginning: null, answer };
  const [evaluated] = await evaluate(oracle, { ...sums, drawSeed: 7n });
  expect(evaluated?.tasks.nano_add?.metrics['exact_match,none']?.value).toBe(1);
  expect(asked.map(({ docId }) => docId)).toEqual([0, 1, 2, 3, 4, 5]);
  expect(asked[0]).toMatchObject({
    task: 'nano_add',
    generation: sums.generation,
    drawSeed: '7',
    beginning: '',
  });
  expect(JSON.parse(JSON.stringify(asked))).toEqual(asked);
  await expect(evaluate(oracle, { ...sums, preset: 'dream-paper', tasks: ['mbpp'] })).rejects.toThrow(
    'the preset begins prompts with a beginning-of-text token, which the model lacks',
  );
});
