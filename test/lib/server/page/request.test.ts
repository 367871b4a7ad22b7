import { draws, FormError, requestOf } from '../../../../lib/server/page/request.js';
import { makePuzzle } from '../../../../lib/server/page/sudoku.js';

const form = {
  mode: 'prompt' as const,
  prompt: 'What is 1+1?',
  text: 'a ___ c',
  puzzle: makePuzzle(4, 8),
  maxTokens: '31',
  tokensPerHole: '2',
  steps: '16',
  schedule: 'entropy',
  gamma: '0.1',
  tau: '90',
  blocks: '',
  temperature: '0',
  seed: '',
};

test('a prompt', () => {
  expect(requestOf(form)).toEqual({
    prompt: 'What is 1+1?',
    max_tokens: 31,
    steps: 16,
    schedule: 'entropy',
    temperature: 0,
    seed: undefined,
  });
});

test('a text with holes, and a puzzle, one token a hole', () => {
  expect(requestOf({ ...form, mode: 'holes' })).toMatchObject({ text: 'a ___ c', tokens_per_hole: 2 });
  const { text, tokens_per_hole, ...rest } = requestOf({ ...form, mode: 'sudoku' });
  expect(text).toMatch(/^Sudoku 4x4\n/);
  expect(tokens_per_hole).toBe(1);
  expect(rest).not.toHaveProperty('prompt');
});

test.each([
  [{ schedule: 'entropy-bounded' }, { type: 'entropy-bounded', gamma: 0.1 }],
  [
    { schedule: 'threshold', tau: '97,5' },
    { type: 'threshold', tau: 0.975 },
  ],
  [{ blocks: '8' }, { type: 'blocks', length: 8, schedule: 'entropy' }],
  [
    { schedule: 'threshold', blocks: '8' },
    { type: 'blocks', length: 8, schedule: { type: 'threshold', tau: 0.9 } },
  ],
])('schedule %j', (fields, schedule) => {
  expect(requestOf({ ...form, ...fields }).schedule).toEqual(schedule);
});

test('a schedule that only the server knows has its parameter', () => {
  const parameter = { name: 'width', unit: 'tokens', min: 1, max: 9, suggested: 4 };
  const other = {
    ...form,
    schedule: 'waves',
    entry: { type: 'waves', commits: 'in waves of WIDTH', parameter },
  };
  expect(requestOf({ ...other, parameter: '3' }).schedule).toEqual({ type: 'waves', width: 3 });
  expect(requestOf(other).schedule).toEqual({ type: 'waves', width: 4 });
  expect(() => requestOf({ ...other, parameter: '10' })).toThrow(FormError);
});

test('empty fields leave the choice to the server', () => {
  const request = requestOf({ ...form, maxTokens: '', steps: '  ', temperature: '' });
  expect(JSON.parse(JSON.stringify(request))).toEqual({
    prompt: form.prompt,
    schedule: 'entropy',
    temperature: 0,
  });
});

test('seeds: numbers while JavaScript has them, text beyond', () => {
  const hot = { ...form, temperature: '0,7' };
  expect(requestOf({ ...hot, seed: ' 7 ' }).seed).toBe(7);
  expect(requestOf({ ...hot, seed: '18446744073709551615' }).seed).toBe('18446744073709551615');
});

test.each([
  [{}, false],
  [{ schedule: 'threshold' }, false],
  [{ schedule: 'margin', blocks: '8' }, false],
  [{ temperature: '0,1' }, true],
  [{ schedule: 'random' }, true],
  [{ schedule: 'random', blocks: '8' }, true],
  [{ schedule: 'waves' }, true],
])('%j: whether anything is drawn, so that a seed is sent: %j', (fields, drawn) => {
  const filled = { ...form, ...fields, seed: '7' };
  expect(draws(filled)).toBe(drawn);
  expect(draws(requestOf(filled))).toBe(drawn);
  expect(requestOf(filled).seed).toBe(drawn ? 7 : undefined);
});

test.each([
  [{ prompt: ' \n' }, 'prompt'],
  [{ mode: 'holes' as const, text: 'no hole' }, 'text'],
  [{ steps: '0' }, 'steps'],
  [{ steps: '1.5' }, 'steps'],
  [{ steps: 'many' }, 'steps'],
  [{ maxTokens: '-4' }, 'maxTokens'],
  [{ mode: 'holes' as const, tokensPerHole: '0' }, 'tokensPerHole'],
  [{ temperature: '-1' }, 'temperature'],
  [{ schedule: 'entropy-bounded', gamma: '' }, 'gamma'],
  [{ schedule: 'threshold', tau: '0' }, 'tau'],
  [{ schedule: 'threshold', tau: '101' }, 'tau'],
  [{ blocks: '0' }, 'blocks'],
  [{ temperature: '1', seed: '18446744073709551616' }, 'seed'],
  [{ temperature: '1', seed: '-1' }, 'seed'],
])('%j is not sent, and says which field is wrong', (fields, field) => {
  let error: unknown;
  try {
    requestOf({ ...form, ...fields });
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(FormError);
  expect((error as FormError).field).toBe(field);
});
