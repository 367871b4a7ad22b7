import { glyphsOf, guessGlyphsOf, describe as inWords } from '../../../../lib/server/page/cell.js';
import { classes, classOf, nats, percent } from '../../../../lib/server/page/confidence.js';
import { CutOffError, explain, RequestError } from '../../../../lib/server/page/failures.js';
import { record } from './run';

test.each([
  [1, 5],
  [0.99, 5],
  [0.98, 4],
  [0.9, 4],
  [0.7, 3],
  [0.4, 2],
  [0.399, 1],
  [0, 1],
  [Number.NaN, 1],
])('confidence %d is of class %d', (confidence, level) => expect(classOf(confidence)).toBe(level));

test('the classes stand in order, from sure to unsure', () => {
  expect(classes.map(({ level }) => level)).toEqual([5, 4, 3, 2, 1]);
});

test.each([
  [1, '100 %'],
  [0.99999, '99.99 %'],
  [0.9951, '99.51 %'],
  [0.923, '92 %'],
  [0.0512, '5.1 %'],
  [0.0004, '< 0.1 %'],
  [0, '0 %'],
])('%d is %s', (confidence, text) => expect(percent(confidence)).toBe(text));

test('entropies of nearly nothing have no sign', () => {
  expect([nats(-0), nats(-1e-9), nats(0.214)]).toEqual(['0 nats', '0 nats', '0.21 nats']);
});

test('glyphs: ends are dots, breaks show themselves, and guesses break no line', () => {
  expect(glyphsOf('<|im_end|>')).toBe('·\u200B');
  expect(glyphsOf('a\nb')).toBe('a↵\nb');
  expect(guessGlyphsOf('\n ')).toBe('↵\u00A0\u200B');
  expect(glyphsOf('\uFFFD')).toBe('◌');
});

test('cells in words', () => {
  const run = record();
  const words = (count: number, position: number) =>
    inWords(run.cellsAt(count)[position] as Parameters<typeof inWords>[0]);
  expect(words(0, 0)).toBe('“A”: given');
  expect(words(0, 2)).toBe('Masked');
  expect(words(1, 2)).toBe('Masked, perhaps “9”: 40 % sure, entropy 0.75 nats');
  expect(words(3, 2)).toBe('“4”: committed by step 3, 60 % sure, entropy 0.50 nats');
  expect(words(3, 4)).toMatch(/^<\|im_end\|>: committed/);
});

test.each([
  [new RequestError(429, { message: 'full' }, '3'), 'The server is busy.', 'Try again in 3 s.', 'full'],
  [new RequestError(429, null), 'The server is busy.', 'Try again in a moment.', ''],
  [new RequestError(400, { message: 'steps' }), 'The server did not accept this.', /retry/, 'steps'],
  [new RequestError(401, null), 'The server wants another key.', /key|button/, ''],
  [new RequestError(502, null), 'The server failed.', /502/, ''],
  [new RequestError(null, { message: 'NaN' }), 'The run failed on the way.', /still here/, 'NaN'],
  [new CutOffError('cut'), 'The connection ended early.', /still here/, ''],
  [new TypeError('Failed to fetch'), 'The server cannot be reached.', /rnd1 serve/, ''],
  [new SyntaxError('x'), 'Something went wrong on this page.', /Reload/, 'SyntaxError: x'],
])('%o', (error, title, advice, detail) => {
  const explanation = explain(error);
  expect(explanation).toMatchObject({ title, detail });
  expect(explanation.advice).toMatch(advice);
});
