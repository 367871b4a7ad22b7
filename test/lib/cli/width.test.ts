import { graphemeWidth, pad, textWidth, truncate, wrap } from '../../../lib/cli/width';

describe('columns of text', () => {
  test.each([
    ['a', 1],
    ['é', 1],
    ['e\u0301', 1],
    ['ﬁ', 1],
    ['░', 1],
    ['漢', 2],
    ['あ', 2],
    ['한', 2],
    ['ｱ', 1],
    ['Ａ', 2],
    ['。', 2],
    ['𠀀', 2],
    ['🙂', 2],
    ['👍🏽', 2],
    ['👨‍👩‍👧', 2],
    ['🇫🇷', 2],
    ['❤', 1],
    ['❤\uFE0F', 2],
    ['1\uFE0F\u20E3', 2],
    ['1', 1],
    ['कि', 2],
    ['क्षि', 2],
    ['☰', 2],
    ['𝌀', 2],
    ['\u0903', 1],
    ['\uFFF9', 0],
    ['\u200D', 0],
    ['\u0301', 0],
  ])('%s takes %i', (grapheme, width) => {
    expect(graphemeWidth(grapheme)).toBe(width);
    expect(textWidth(`x${grapheme}`)).toBe(1 + width);
  });

  test('a text takes the sum of its characters', () => {
    expect(textWidth('ab漢字🙂c')).toBe(9);
    expect(textWidth('')).toBe(0);
  });

  test('truncate never exceeds the columns and never halves a character', () => {
    expect(truncate('hello', 5)).toBe('hello');
    expect(truncate('hello', 4)).toBe('hel…');
    expect(truncate('漢字漢字', 5)).toBe('漢字…');
    expect(truncate('漢字漢字', 4)).toBe('漢…');
    expect(truncate('hello', 0)).toBe('');
  });
});

test.each([
  ['漢字'.repeat(5), 7, ['漢字漢', '字漢字', '漢字漢', '字']],
  ['ab 漢字漢', 5, ['ab', '漢字', '漢']],
  ['e\u0301'.repeat(3), 2, ['e\u0301e\u0301', 'e\u0301']],
  ['👨‍👩‍👧👨‍👩‍👧', 3, ['👨‍👩‍👧', '👨‍👩‍👧']],
  ['漢字', 1, ['漢', '字']],
  ['a b', 80, ['a b']],
])('words that are too long are cut by columns: %j in %i', (text, columns, lines) => {
  expect(wrap(text, columns)).toEqual(lines);
});

test('spaces fill a text up to a number of columns', () => {
  expect(pad('漢', 4)).toBe('漢  ');
  expect(pad('漢e\u0301', 4, 'start')).toBe(' 漢e\u0301');
  expect(pad('abc', 2)).toBe('abc');
});
