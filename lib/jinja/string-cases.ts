import type { StringMethod } from './string-methods';
import { isPrintable, isSpace } from './unicode';

/** Large where upper case has two letters: only the first one stays large. */
function titleCase(character: string): string {
  const [first = '', ...rest] = character.toUpperCase();
  return first + rest.join('').toLowerCase();
}

export function capitalized(text: string): string {
  const first = text === '' ? '' : String.fromCodePoint(text.codePointAt(0) as number);
  return titleCase(first) + text.slice(first.length).toLowerCase();
}

const cased = /\p{Cased}/u;

function titled(text: string): string {
  let afterLetter = false;
  return text.replace(/./gsu, (character) => {
    const result = afterLetter ? character.toLowerCase() : titleCase(character);
    afterLetter = cased.test(character);
    return result;
  });
}

function swapped(text: string): string {
  return text.replace(/./gsu, (character) => {
    if (/\p{Uppercase}/u.test(character)) return character.toLowerCase();
    return /\p{Lowercase}/u.test(character) ? character.toUpperCase() : character;
  });
}

/** Letters whose folded form is that of their capital. */
const foldedByCapital = /[\u017f\u03c2\u03d0\u03d1\u03d5\u03d6\u03f0\u03f1\u03f5\u1e9b\u1fbe]/;

export function caseFolded(text: string): string {
  return text.replace(/./gsu, (character) => {
    const folded = character.toUpperCase().toLowerCase();
    return folded.length > character.length || foldedByCapital.test(character)
      ? folded
      : character.toLowerCase();
  });
}

export function isLower(text: string): boolean {
  return /\p{Lowercase}/u.test(text) && !/[\p{Uppercase}\p{Lt}]/u.test(text);
}

export function isUpper(text: string): boolean {
  return /\p{Uppercase}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text);
}

function isTitle(text: string): boolean {
  let afterLetter = false;
  let found = false;
  for (const character of text) {
    const upper = /[\p{Uppercase}\p{Lt}]/u.test(character);
    const lower = /\p{Lowercase}/u.test(character);
    if ((upper && afterLetter) || (lower && !afterLetter)) return false;
    afterLetter = upper || lower;
    found ||= afterLetter;
  }
  return found;
}

/** Decimal digits, raised, lowered and circled ones. */
const digits =
  /^[\p{Nd}\xb2\xb3\xb9\u1369-\u1371\u19da\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792]+$/u;

const numerals =
  /^[\p{N}\u3405\u3483\u382a\u3b4d\u4e00\u4e03\u4e07\u4e09\u4e5d\u4e8c\u4e94\u4e96\u4ebf\u4ec0\u4edf\u4ee8\u4f0d\u4f70\u5104\u5146\u5169\u516b\u516d\u5341\u5343\u5344\u5345\u534c\u53c1\u53c2\u53c3\u53c4\u56db\u58f1\u58f9\u5e7a\u5efe\u5eff\u5f0c\u5f0d\u5f0e\u5f10\u62fe\u634c\u67d2\u6f06\u7396\u767e\u8086\u842c\u8cae\u8cb3\u8d30\u9621\u9646\u964c\u9678\u96f6]+$/u;

/** Whether a text is made of such characters, and of at least one. */
const all = (pattern: RegExp): StringMethod => ['', (text) => pattern.test(text)];

export const caseMethods: readonly (readonly [string, StringMethod])[] = [
  ['upper', ['', (text) => text.toUpperCase()]],
  ['lower', ['', (text) => text.toLowerCase()]],
  ['capitalize', ['', capitalized]],
  ['title', ['', titled]],
  ['swapcase', ['', swapped]],
  ['casefold', ['', caseFolded]],
  ['islower', ['', isLower]],
  ['isupper', ['', isUpper]],
  ['istitle', ['', isTitle]],
  ['isalpha', all(/^\p{L}+$/u)],
  ['isalnum', ['', (text) => text !== '' && [...text].every((c) => /\p{L}/u.test(c) || numerals.test(c))]],
  ['isdecimal', all(/^\p{Nd}+$/u)],
  ['isdigit', all(digits)],
  ['isnumeric', all(numerals)],
  ['isspace', ['', (text) => text !== '' && [...text].every(isSpace)]],
  ['isidentifier', all(/^[\p{XID_Start}_]\p{XID_Continue}*$/u)],
  ['isascii', ['', (text) => /^[\0-\x7f]*$/.test(text)]],
  ['isprintable', ['', (text) => [...text].every(isPrintable)]],
];
