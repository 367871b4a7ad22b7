import { fragmentOf, stateOf } from '../../../../lib/server/page/address.js';
import { examplesFor } from '../../../../lib/server/page/examples.js';
import { makePuzzle } from '../../../../lib/server/page/sudoku.js';
import { random } from '../../../support/random';

const form = { ...examplesFor(null).fields, puzzle: makePuzzle(6, 18, random(4)) };

test.each([
  {
    mode: 'prompt' as const,
    prompt: 'a & b = "c" #d\n+ e%20 ü 🙂',
    seed: '18446744073709551615',
    race: 'on',
  },
  { mode: 'holes' as const, text: 'x ___', tokensPerHole: '', steps: '', schedule: 'threshold', tau: '97,5' },
  { mode: 'prompt' as const, blocks: '8', temperature: '0.7', schedule: 'random' },
])('an address gives back what it was made of: %j', (fields) => {
  const state = stateOf(`#${fragmentOf({ ...form, ...fields })}`);
  expect({ ...form, ...state }).toMatchObject(fields);
});

test('a Sudoku has its cells there', () => {
  const fragment = fragmentOf({ ...form, mode: 'sudoku' });
  expect(fragment).not.toContain('prompt=');
  expect(stateOf(fragment)?.cells).toEqual(form.puzzle.cells);
  expect(stateOf(fragment.replace(/puzzle=\d/, 'puzzle=9'))?.cells).toBeUndefined();
});

test('nothing but what the form has is read from it', () => {
  expect(stateOf('#stage')).toBeNull();
  expect(stateOf('')).toBeNull();
  expect(stateOf('#mode=other')).toBeNull();
  expect(stateOf('#mode=prompt&key=secret&puzzle=1')).toEqual({
    mode: 'prompt',
    blocks: '',
    temperature: '0',
    seed: '',
    race: '',
  });
});

test('what does not matter is left out', () => {
  expect(
    fragmentOf({ ...form, gamma: '5', tau: '3', schedule: 'margin', seed: '', temperature: '0' }),
  ).not.toMatch(/gamma|tau|seed|temperature/);
});
