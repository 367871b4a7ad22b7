/** What Python takes for white space, as the inside of a character class. */
export const spaces = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

const space = new RegExp(`^[${spaces}]$`);

export function isSpace(character: string): boolean {
  return space.test(character);
}

export function trimStart(text: string, isCut: (character: string) => boolean = isSpace): string {
  let start = 0;
  while (start < text.length) {
    const character = characterAt(text, start);
    if (!isCut(character)) break;
    start += character.length;
  }
  return text.slice(start);
}

export function trimEnd(text: string, isCut: (character: string) => boolean = isSpace): string {
  let end = text.length;
  while (end > 0) {
    const low = text.charCodeAt(end - 1);
    const pair = low >= 0xdc00 && low <= 0xdfff && end > 1 && isHigh(text.charCodeAt(end - 2));
    if (!isCut(text.slice(pair ? end - 2 : end - 1, end))) break;
    end -= pair ? 2 : 1;
  }
  return text.slice(0, end);
}

function isHigh(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function characterAt(text: string, at: number): string {
  return String.fromCodePoint(text.codePointAt(at) as number);
}

export function countNewlines(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) count++;
  return count;
}

const surrogate = /[\ud800-\udfff]/;

/** Whether characters and UTF-16 units are the same in this text. */
function isFlat(text: string): boolean {
  return !surrogate.test(text);
}

/** Characters as Python counts them. */
export function characters(text: string): readonly string[] {
  return isFlat(text) ? text.split('') : [...text];
}

/** Length in characters. */
export function lengthOf(text: string): number {
  if (isFlat(text)) return text.length;
  let length = 0;
  for (const _ of text) length++;
  return length;
}

/** `text[start:stop]` for 0 ≤ start ≤ stop in characters. */
export function sliceOf(text: string, start: number, stop: number): string {
  if (isFlat(text)) return text.slice(start, stop);
  const from = unitIndex(text, 0, start);
  return text.slice(from, unitIndex(text, from, stop - start));
}

/** The UTF-16 unit so many characters behind another one. */
function unitIndex(text: string, from: number, count: number): number {
  let unit = from;
  for (let i = 0; i < count && unit < text.length; i++) {
    unit += (text.codePointAt(unit) as number) > 0xffff ? 2 : 1;
  }
  return unit;
}

/** The position in characters of a position in UTF-16 units. */
export function characterIndex(text: string, unit: number): number {
  return unit <= 0 ? unit : lengthOf(text.slice(0, unit));
}

/** −1, 0 or 1 by code points, the order of Python's strings. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  let at = 0;
  while (at < a.length && at < b.length && a[at] === b[at]) at++;
  const left = a.charCodeAt(at);
  const right = b.charCodeAt(at);
  if (Number.isNaN(left)) return -1;
  if (Number.isNaN(right)) return 1;
  // A surrogate stands for a character above all others.
  const high = (unit: number) => (unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit);
  return high(left) < high(right) ? -1 : 1;
}

const unprintable = /^[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\p{Zs}]$/u;

export function isPrintable(character: string): boolean {
  return character === ' ' || !unprintable.test(character);
}
