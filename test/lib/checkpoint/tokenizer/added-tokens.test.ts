import { AddedTokens } from '../../../../lib/checkpoint/tokenizer/added-tokens';

const split = (tokens: AddedTokens, text: string) => tokens.split(text).map(({ id, text }) => [id, text]);

describe('added tokens', () => {
  const tokens = new AddedTokens([
    { id: 1, content: 'word', single_word: true },
    { id: 2, content: '<l>', lstrip: true },
    { id: 3, content: '<r>', rstrip: true },
    { id: 4, content: 'foo' },
    { id: 5, content: 'foobar' },
    { id: 6, content: '' },
  ]);

  test('are found from left to right, the longest first', () => {
    expect(split(tokens, '')).toEqual([]);
    expect(split(tokens, 'xfoobarfoo')).toEqual([
      [null, 'x'],
      [5, 'foobar'],
      [4, 'foo'],
    ]);
    expect(split(tokens, 'foobafo')).toEqual([
      [4, 'foo'],
      [null, 'bafo'],
    ]);
  });

  // As the Rust library `tokenizers` 0.23.2 does with the same tokens.
  test.each([
    'swordfish',
    'words',
    'éword',
    'wordé',
    'word_',
    '1word',
    'word\u0301',
    'word\u200d',
    'wordword',
    'fooword',
  ])('that are single words are none in %j', (text) => {
    expect(split(tokens, text).map(([id]) => id)).not.toContain(1);
    expect(
      tokens
        .split(text)
        .map((section) => section.text)
        .join(''),
    ).toBe(text);
  });

  test.each(['word', 'a word.', '-word-', '🙂word🙂', '漢 word', '«word»', '\u00a0word\n'])(
    'that are single words are one in %j',
    (text) => {
      expect(split(tokens, text)).toContainEqual([1, 'word']);
    },
  );

  test('are looked for behind one that was not wanted', () => {
    expect(split(tokens, 'wordword word')).toEqual([
      [null, 'wordword '],
      [1, 'word'],
    ]);
  });

  test('take the white space beside them, but none twice', () => {
    expect(split(tokens, 'a \n\u00a0<l> b')).toEqual([
      [null, 'a'],
      [2, ' \n\u00a0<l>'],
      [null, ' b'],
    ]);
    expect(split(tokens, 'a <r> \n<l>b')).toEqual([
      [null, 'a '],
      [3, '<r> \n'],
      [2, '<l>'],
      [null, 'b'],
    ]);
    expect(split(tokens, '<r>\ufeffb')).toEqual([
      [3, '<r>'],
      [null, '\ufeffb'],
    ]);
  });

  test('are looked for as they are spelled', () => {
    const upper = new AddedTokens([{ id: 7, content: 'abc' }], (content) => content.toUpperCase());
    expect(split(upper, 'abcABC')).toEqual([
      [null, 'abc'],
      [7, 'ABC'],
    ]);
  });
});
