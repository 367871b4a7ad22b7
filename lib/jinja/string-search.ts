import { fail } from './errors';
import type { Budget } from './limits';
import { countArgument, spanOf, textArgument } from './parameters';
import type { StringMethod } from './string-methods';
import { characterIndex, characters, lengthOf, sliceOf } from './unicode';
import { Tuple, type Value } from './values';

type Given = readonly (Value | undefined)[];

/** Where a text begins and what lies between the bounds; undefined where the start lies behind the end. */
function within(text: string, start: Value | undefined, stop: Value | undefined) {
  const length = lengthOf(text);
  const [from, to] = spanOf(length, start, stop);
  // An empty text is found at its end, but not behind it.
  if (from > to || (start !== undefined && start !== null && countArgument(start, 0) > length))
    return undefined;
  return { from, part: sliceOf(text, from, to) };
}

function position(text: string, [wanted, start, stop]: Given, budget: Budget, last: boolean): bigint {
  const search = textArgument(wanted, 'what is searched for');
  const found = within(text, start, stop);
  if (found === undefined) return -1n;
  budget.spendSearch(found.part, search);
  const unit = last ? found.part.lastIndexOf(search) : found.part.indexOf(search);
  return unit < 0 ? -1n : BigInt(found.from + characterIndex(found.part, unit));
}

function positionOrFail(text: string, given: Given, budget: Budget, last: boolean): bigint {
  const found = position(text, given, budget, last);
  return found < 0n ? fail('substring not found') : found;
}

function count(text: string, [wanted, start, stop]: Given, budget: Budget): bigint {
  const search = textArgument(wanted, 'what is counted');
  const found = within(text, start, stop);
  if (found === undefined) return 0n;
  if (search === '') return BigInt(lengthOf(found.part) + 1);
  return BigInt(occurrences(found.part, search, Number.POSITIVE_INFINITY, budget).length);
}

/** Where a text is found, from left to right without overlaps, at most so often. */
function occurrences(text: string, search: string, most: number, budget: Budget): number[] {
  budget.spendSearch(text, search);
  const found: number[] = [];
  for (
    let at = text.indexOf(search);
    at >= 0 && found.length < most;
    at = text.indexOf(search, at + search.length)
  ) {
    found.push(at);
  }
  budget.spend(found.length);
  return found;
}

export function replaced(text: string, search: string, by: string, most: number, budget: Budget): string {
  const limit = most < 0 ? Number.POSITIVE_INFINITY : most;
  if (search === '') return interspersed(text, by, limit, budget);
  const found = occurrences(text, search, limit, budget);
  budget.spendText(text.length + found.length * (by.length - search.length));
  const parts: string[] = [];
  let from = 0;
  for (const at of found) {
    parts.push(text.slice(from, at), by);
    from = at + search.length;
  }
  return parts.join('') + text.slice(from);
}

/** Between all characters and around them, from the left. */
function interspersed(text: string, by: string, most: number, budget: Budget): string {
  const all = characters(text);
  const times = Math.min(most, all.length + 1);
  budget.spendText(text.length + times * by.length);
  budget.spend(all.length);
  const parts = all.map((character, i) => (i < times ? by + character : character));
  return parts.join('') + (times > all.length ? by : '');
}

function affix(text: string, [wanted, start, stop]: Given, last: boolean): boolean {
  const options = wanted instanceof Tuple ? wanted.items : [wanted];
  const found = within(text, start, stop);
  return options.some((option) => {
    const search = textArgument(option, 'what is compared with');
    if (found === undefined) return false;
    return last ? found.part.endsWith(search) : found.part.startsWith(search);
  });
}

const span = 'sub start? end? /';

export const searchMethods: readonly (readonly [string, StringMethod])[] = [
  ['find', [span, (text, given, budget) => position(text, given, budget, false)]],
  ['rfind', [span, (text, given, budget) => position(text, given, budget, true)]],
  ['index', [span, (text, given, budget) => positionOrFail(text, given, budget, false)]],
  ['rindex', [span, (text, given, budget) => positionOrFail(text, given, budget, true)]],
  ['count', [span, count]],
  ['startswith', [span, (text, given) => affix(text, given, false)]],
  ['endswith', [span, (text, given) => affix(text, given, true)]],
  [
    'replace',
    [
      'old new count? /',
      (text, [old, by, most], budget) =>
        replaced(
          text,
          textArgument(old, 'what is replaced'),
          textArgument(by, 'the replacement'),
          countArgument(most, -1),
          budget,
        ),
    ],
  ],
];
