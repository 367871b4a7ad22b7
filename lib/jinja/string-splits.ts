import { fail } from './errors';
import type { Budget } from './limits';
import { countArgument, textArgument } from './parameters';
import type { StringMethod } from './string-methods';
import { spaces, trimEnd } from './unicode';
import { Tuple, type Value } from './values';

type Given = readonly (Value | undefined)[];

function split(text: string, [separator, most]: Given, budget: Budget, fromRight: boolean): Value {
  const limit = countArgument(most, -1);
  const times = limit < 0 ? Number.POSITIVE_INFINITY : limit;
  if (separator === undefined || separator === null) {
    return fromRight ? splitSpaceFromRight(text, times, budget) : splitSpace(text, times, budget);
  }
  const by = textArgument(separator, 'the separator');
  if (by === '') return fail('empty separator');
  budget.spendSearch(text, by);
  const parts: string[] = [];
  let rest = text;
  let done = 0;
  if (fromRight && times !== Number.POSITIVE_INFINITY) {
    for (; parts.length < times; ) {
      const at = rest.lastIndexOf(by);
      if (at < 0) break;
      budget.spend(1);
      parts.push(rest.slice(at + by.length));
      rest = rest.slice(0, at);
    }
    return [...parts, rest].reverse();
  }
  for (; parts.length < times; ) {
    const at = text.indexOf(by, done);
    if (at < 0) break;
    budget.spend(1);
    parts.push(text.slice(done, at));
    done = at + by.length;
  }
  rest = text.slice(done);
  return [...parts, rest];
}

const word = new RegExp(`[^${spaces}]+`, 'g');
const space = new RegExp(`[${spaces}]`);

function splitSpace(text: string, times: number, budget: Budget): string[] {
  const words: string[] = [];
  for (const found of text.matchAll(word)) {
    budget.spend(1);
    if (words.length >= times) {
      words.push(text.slice(found.index));
      return words;
    }
    words.push(found[0]);
  }
  return words;
}

function splitSpaceFromRight(text: string, times: number, budget: Budget): string[] {
  const words: string[] = [];
  let rest = trimEnd(text);
  while (rest !== '') {
    budget.spend(1);
    if (words.length >= times) {
      words.push(rest);
      break;
    }
    let start = rest.length;
    while (start > 0 && !space.test(rest[start - 1] as string)) start--;
    words.push(rest.slice(start));
    rest = trimEnd(rest.slice(0, start));
  }
  return words.reverse();
}

const lineBreaks = '\\n\\r\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029';
const lineEnds = new RegExp(`\\r\\n|[${lineBreaks}]`, 'g');

/** `text.splitlines(keepEnds)` */
export function linesOf(text: string, keepEnds: boolean, budget: Budget): string[] {
  const lines: string[] = [];
  let from = 0;
  for (const found of text.matchAll(lineEnds)) {
    budget.spend(1);
    const end = found.index + found[0].length;
    lines.push(text.slice(from, keepEnds ? end : found.index));
    from = end;
  }
  if (from < text.length) lines.push(text.slice(from));
  return lines;
}

function partition(text: string, [separator]: Given, budget: Budget, fromRight: boolean): Value {
  const by = textArgument(separator, 'the separator');
  if (by === '') return fail('empty separator');
  budget.spendSearch(text, by);
  const at = fromRight ? text.lastIndexOf(by) : text.indexOf(by);
  if (at < 0) return new Tuple(fromRight ? ['', '', text] : [text, '', '']);
  return new Tuple([text.slice(0, at), by, text.slice(at + by.length)]);
}

export const splitMethods: readonly (readonly [string, StringMethod])[] = [
  ['split', ['sep? maxsplit?', (text, given, budget) => split(text, given, budget, false)]],
  ['rsplit', ['sep? maxsplit?', (text, given, budget) => split(text, given, budget, true)]],
  [
    'splitlines',
    ['keepends?', (text, [keep], budget) => linesOf(text, countArgument(keep, 0) !== 0, budget)],
  ],
  ['partition', ['sep /', (text, given, budget) => partition(text, given, budget, false)]],
  ['rpartition', ['sep /', (text, given, budget) => partition(text, given, budget, true)]],
];
