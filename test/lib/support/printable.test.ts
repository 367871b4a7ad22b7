import { quote as quoteName } from '../../../lib/checkpoint/format';
import { RND1Error } from '../../../lib/support/errors';
import {
  printableJson,
  printableMessage,
  printableName,
  printableText,
} from '../../../lib/support/printable';
import { quote } from '../../../lib/support/validate';

/** Sets a colour, queries the terminal (8-bit CSI), overrides text direction, rings the bell, terminates a string. */
const hostile = '\x1b[31m\x9b6n\u202Egpj\u2066\x07\x7f\x00\x9c';
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters that must be absent
const steers = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/;

describe('text shown in a terminal', () => {
  test('has symbols for controls', () => {
    expect(printableText('a\x1b[31mb\x07\x7f\u009b')).toBe('a␛[31mb␇␡\uFFFD');
    expect(printableName('a\x1b[31mb\x07\x7f\u009b')).toBe('a␛[31mb␇␡\uFFFD');
  });

  test('keeps the newlines and tabs of a text, not those of a name', () => {
    expect(printableText('a\r\nb\rc\td')).toBe('a\nb\nc\td');
    expect(printableName('a\r\nb\td')).toBe('a␍␊b␉d');
  });

  test('keeps what scripts and emoji need in a text, and nothing that hides in a name', () => {
    const joined = 'می\u200Cخواهم 👩\u200D💻 \u200Fא';
    expect(printableText(joined)).toBe(joined);
    expect(printableName('safe\u200B\u{e0041}\u2028\u200F.json\ud800')).toBe(
      'safe\uFFFD\uFFFD\uFFFD\uFFFD.json\uFFFD',
    );
    expect(printableName('Modell ünï 模型 👩🏽')).toBe('Modell ünï 模型 👩🏽');
  });

  test('keeps lines and joiners of a message, and no marks that it may quote', () => {
    const said = printableMessage('a\r\nb\u2028c \u200Fא\u061C\u200E 👩\u200D💻');
    expect(said).toBe('a\nb\uFFFDc \uFFFDא\uFFFD\uFFFD 👩\u200D💻');
    expect(new RND1Error('io', 'a\u200F\u2028b').message).toBe('a\uFFFD\uFFFDb');
  });

  test.each([
    ['a text', printableText(hostile)],
    ['a message', printableMessage(hostile)],
    ['a name', printableName(hostile)],
    ['JSON', printableJson(JSON.stringify([hostile]))],
    ['a quoted name', quoteName(hostile)],
    ['a quoted value', quote([hostile, { [hostile]: 1 }])],
    ['an error', new RND1Error('io', `cannot read ${hostile}`).message],
  ])('cannot be steered by %s', (_, shown) => {
    expect(hostile).toMatch(steers);
    expect(shown).not.toMatch(steers);
    expect(shown).toContain('gpj');
  });

  test('JSON is equivalent', () => {
    const value = { [hostile]: [hostile, 'é漢😀', '\u2028', { a: 1 }] };
    expect(JSON.parse(printableJson(JSON.stringify(value)))).toEqual(value);
  });
});
