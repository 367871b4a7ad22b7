import { pythonLiteral, pythonText } from '../../../lib/evaluation/python/format';
import { parsePythonLiteral } from '../../../lib/evaluation/python/literal';
import { codePoints, strip, stripEnd } from '../../../lib/evaluation/python/text';
import { plainValue } from '../../../lib/evaluation/python/values';

describe('Python’s strings', () => {
  it('white space is Python’s', () => {
    expect(strip('\x1c\x1f\x85\xa0\u3000\u2028 a \t\n\x0b')).toBe('a');
    expect(strip('\ufeffa\ufeff')).toBe('\ufeffa\ufeff');
    expect(strip('\u200ba')).toBe('\u200ba');
    expect(stripEnd('  a \n')).toBe('  a');
    expect(strip(' \n')).toBe('');
  });

  it('lengths are code points', () => {
    expect(codePoints('a😀é')).toBe(3);
    expect(codePoints('')).toBe(0);
  });
});

describe('Python’s literals', () => {
  // The second column is what `repr(ast.literal_eval(text))` gives, the third what JSON would hold.
  it.each([
    ['[1,2]', '[1, 2]', [1, 2]],
    ['[]', '[]', []],
    ['[ 1 , ]', '[1]', [1]],
    ['(1,)', '(1,)', [1]],
    ['(1)', '1', 1],
    ['()', '()', []],
    ['1, 2', '(1, 2)', [1, 2]],
    ['[1], [2]', '([1], [2])', [[1], [2]]],
    ['{}', '{}', {}],
    ["{'a': 1, 2: [None,],}", "{'a': 1, 2: [None]}", { a: 1, 2: [null] }],
    ['{1, 2}', '{1, 2}', [1, 2]],
    ['[True, False, None]', '[True, False, None]', [true, false, null]],
    ['[-1, +2, 1_000, 0, 00]', '[-1, 2, 1000, 0, 0]', [-1, 2, 1000, 0, 0]],
    [
      '[1., .5, 1e3, -2.5E-7, 1e16, 123456789012345680.0]',
      '[1.0, 0.5, 1000.0, -2.5e-07, 1e+16, 1.2345678901234568e+17]',
      [1, 0.5, 1000, -2.5e-7, 1e16, 123456789012345680],
    ],
    [
      '[0.0001, 0.00001, 1e15, -0.0]',
      '[0.0001, 1e-05, 1000000000000000.0, -0.0]',
      [0.0001, 0.00001, 1e15, -0],
    ],
    ['123456789012345678901234567890', '123456789012345678901234567890', 1.2345678901234568e29],
    [`['it\\'s', "it's", '"', "\\"'"]`, `["it's", "it's", '"', '"\\'']`, ["it's", "it's", '"', `"'`]],
    [`['a' "b"\n'c']`, "['abc']", ['abc']],
    [`'\\n\\r\\t\\a\\b\\f\\v\\\\'`, `'\\n\\r\\t\\x07\\x08\\x0c\\x0b\\\\'`, '\n\r\t\x07\b\f\v\\'],
    [`'\\0\\101\\x41\\u00e9\\U0001f600'`, "'\\x00AAé😀'", '\0AAé😀'],
    [`'\\q\\d'`, "'\\\\q\\\\d'", '\\q\\d'],
    [`'a\\\nb'`, "'ab'", 'ab'],
    [`'''a\n'b'''`, `"a\\n'b"`, "a\n'b"],
    ["'\u2028\u00a0\u200b\u00ad'", "'\\u2028\\xa0\\u200b\\xad'", '\u2028\u00a0\u200b\u00ad'],
    ['[1, # comment\n 2]', '[1, 2]', [1, 2]],
  ])('%j', (text, literal, plain) => {
    const value = parsePythonLiteral(text);
    expect(pythonLiteral(value)).toBe(literal);
    expect(plainValue(value)).toEqual(plain);
  });

  it('texts are printed as they are', () => expect(pythonText("it's\n")).toBe("it's\n"));

  it.each([
    '',
    '[1 2]',
    '[,]',
    '[1,,2]',
    '[1',
    '[1]]',
    '{1: 2, 3}',
    '{1, 2: 3}',
    "f'a'",
    "b'a'",
    "'\\N{DASH}'",
    "'a",
    "'a\nb'",
    "'\\x4'",
    "'\\U00110000'",
    '01',
    '1__0',
    '1_',
    '0x10',
    '1j',
    'nan',
    'a',
    '[a]',
    'Truely',
    '1 + 1',
    '{,}',
    `${'['.repeat(200)}${']'.repeat(200)}`,
  ])('%j is none', (text) => {
    expect(() => parsePythonLiteral(text)).toThrow(SyntaxError);
  });
});
