import type { StringMethod } from './string-methods';
import { isPrintable, isSpace } from './unicode';

/** Letters that are two: each large, with its first part large, and small. */
const digraphs = 'ǄǅǆǇǈǉǊǋǌǱǲǳ';

/** As the first letter of a word: where upper case has two letters, only the first one is large. */
function titleCase(character: string): string {
  const digraph = character === '' ? -1 : digraphs.indexOf(character);
  if (digraph >= 0) return digraphs[digraph - (digraph % 3) + 1] as string;
  // Georgian has large letters for texts in capitals alone.
  if (/[\u10d0-\u10ff]/.test(character)) return character;
  if (character === 'ŉ') return character.toUpperCase();
  const [first = '', ...rest] = character.toUpperCase();
  // A large iota after a Greek letter stands for the small one below it.
  if (rest.at(-1) === 'Ι') {
    const below = [first, ...rest.slice(0, -1), '\u0345'].join('');
    return rest.length === 1 ? below.normalize('NFC') : below;
  }
  return first + rest.join('').toLowerCase();
}

/** A sigma at the end of a word. What stands before it is looked at last: else every place would be. */
const lastSigma = /Σ(?<=\p{Cased}\p{Case_Ignorable}*Σ)(?!\p{Case_Ignorable}*\p{Cased})/gu;

/** The small letter of one at an offset: that of Σ depends on what stands around it. */
function lowered(text: string): (character: string, offset: number) => string {
  const marked = text.includes('Σ') ? text.replace(lastSigma, 'ς') : text;
  return (character, offset) => (character === 'Σ' ? (marked[offset] as string) : character).toLowerCase();
}

export function capitalized(text: string): string {
  const lower = lowered(text);
  return text.replace(/./gsu, (character, offset: number) =>
    offset === 0 ? titleCase(character) : lower(character, offset),
  );
}

const cased = /\p{Cased}/u;

function titled(text: string): string {
  const lower = lowered(text);
  let afterLetter = false;
  return text.replace(/./gsu, (character, offset: number) => {
    const result = afterLetter ? lower(character, offset) : titleCase(character);
    afterLetter = cased.test(character);
    return result;
  });
}

function swapped(text: string): string {
  const lower = lowered(text);
  return text.replace(/./gsu, (character, offset: number) => {
    if (/\p{Uppercase}/u.test(character)) return lower(character, offset);
    return /\p{Lowercase}/u.test(character) ? character.toUpperCase() : character;
  });
}

/** Letters whose folded form is the small one of their capital. */
const foldedByCapital =
  /\u0345|[\xb5\u017f\u03c2\u03d0\u03d1\u03d5\u03d6\u03f0\u03f1\u03f5\u1c80-\u1c88\u1e9b\u1fbe]/;

/** Cherokee, which had its large letters first. */
const foldedToCapital = /[\u13a0-\u13f5\u13f8-\u13fd\uab70-\uabbf]/;

export function caseFolded(text: string): string {
  return text.replace(/./gsu, (character) => {
    if (foldedToCapital.test(character)) return character.toUpperCase();
    if (character === 'ẞ') return 'ss';
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
  /^[\p{Nd}\xb2\xb3\xb9\u1369-\u1371\u19da\u2070\u2074-\u2079\u2080-\u2089\u2460-\u2468\u2474-\u247c\u2488-\u2490\u24ea\u24f5-\u24fd\u24ff\u2776-\u277e\u2780-\u2788\u278a-\u2792\u{10a40}-\u{10a43}\u{10e60}-\u{10e68}\u{11052}-\u{1105a}\u{1f100}-\u{1f10a}]+$/u;

const numerals =
  /^[\p{N}\u3405\u3483\u382a\u3b4d\u4e00\u4e03\u4e07\u4e09\u4e5d\u4e8c\u4e94\u4e96\u4ebf\u4ec0\u4edf\u4ee8\u4f0d\u4f70\u5104\u5146\u5169\u516b\u516d\u5341\u5343\u5344\u5345\u534c\u53c1\u53c2\u53c3\u53c4\u56db\u58f1\u58f9\u5e7a\u5efe\u5eff\u5f0c\u5f0d\u5f0e\u5f10\u62fe\u634c\u67d2\u6f06\u7396\u767e\u8086\u842c\u8cae\u8cb3\u8d30\u9621\u9646\u964c\u9678\u96f6\uf96b\uf973\uf978\uf9b2\uf9d1\uf9d3\uf9fd\u{20001}\u{20064}\u{200e2}\u{20121}\u{2092a}\u{20983}\u{2098c}\u{2099c}\u{20aea}\u{20afd}\u{20b19}\u{22390}\u{22998}\u{23b1b}\u{2626d}\u{2f890}]+$/u;

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
