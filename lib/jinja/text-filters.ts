import { fail } from './errors';
import { escapeAll, escapeText } from './escape';
import { type Filter, softText, textFilter } from './filter';
import { isIterable, lengthOrFail, listOf } from './iteration';
import { truth } from './operators';
import { countArgument, textArgument } from './parameters';
import type { Runtime } from './runtime';
import { capitalized } from './string-cases';
import { centered } from './string-methods';
import { replaced } from './string-search';
import { linesOf } from './string-splits';
import { repr, sortedRepr, str } from './text';
import { lengthOf, sliceOf, spaces, trimEnd, trimStart } from './unicode';
import { Dict, Markup, textOf, Undefined, type Value } from './values';
import { wrapped } from './word-wrap';

type Given = readonly (Value | undefined)[];

/** A value that must be a string, as where Python calls its methods. */
function strict(value: Value): string {
  if (value instanceof Undefined) value.raise();
  return textArgument(value, 'the value');
}

const word = new RegExp(`([-${spaces}({[<]+)`, 'u');

function titled(text: string): string {
  return text
    .split(word)
    .map((part) => {
      const [first = ''] = part;
      return first.toUpperCase() + part.slice(first.length).toLowerCase();
    })
    .join('');
}

function indented(value: Value, [width, first, blank]: Given, { budget }: Runtime): Value {
  const text = strict(value);
  const columns = width === undefined ? 4 : (textOf(width) ?? countArgument(width, 4));
  if (typeof columns === 'number') budget.spendText(columns);
  const indentation = typeof columns === 'string' ? columns : ' '.repeat(Math.max(0, columns));
  const lines = linesOf(`${text}\n`, false, budget);
  budget.spendText(text.length + lines.length * indentation.length);
  const all = truth(blank ?? false);
  const shown = lines
    .map((line, i) => (i > 0 && (all || line !== '') ? indentation + line : line))
    .join('\n');
  return (truth(first ?? false) ? indentation : '') + shown;
}

function truncated(value: Value, [length, killWords, end, leeway]: Given): Value {
  const most = countArgument(length, 255);
  const mark = end === undefined ? '...' : textArgument(end, 'end');
  const tolerance = countArgument(leeway === null ? undefined : leeway, 5);
  const room = most - lengthOf(mark);
  if (room < 0 || tolerance < 0) fail('truncate: the length or the leeway is too small');
  if (lengthOrFail(value) <= most + tolerance) return value;
  const text = strict(value);
  const cut = sliceOf(text, 0, room);
  if (truth(killWords ?? false)) return cut + mark;
  const space = cut.lastIndexOf(' ');
  return (space < 0 ? cut : cut.slice(0, space)) + mark;
}

const unquoted = /^[A-Za-z0-9_.~-]$/;

function urlQuoted(value: Value, inQuery: boolean, { budget }: Runtime): string {
  const text = str(value, budget);
  budget.spendText(text.length * 9);
  return text.replace(/./gsu, (character) => {
    if (unquoted.test(character) || (character === '/' && !inQuery)) return character;
    if (character === ' ' && inQuery) return '+';
    const bytes = [...Buffer.from(character)];
    return bytes.map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join('');
  });
}

function urlEncoded(value: Value, runtime: Runtime): string {
  if (textOf(value) !== undefined || !isIterable(value)) return urlQuoted(value, false, runtime);
  const pairs = value instanceof Dict ? value.items() : listOf(value, runtime.budget);
  return pairs
    .map((pair) => {
      const [key, of, ...more] = listOf(pair, runtime.budget);
      if (key === undefined || of === undefined || more.length > 0) return fail('urlencode takes pairs');
      return `${urlQuoted(key, true, runtime)}=${urlQuoted(of, true, runtime)}`;
    })
    .join('&');
}

function attributes(value: Value, [space]: Given, { budget }: Runtime): string {
  if (!(value instanceof Dict)) return fail('xmlattr takes a dict');
  const parts: string[] = [];
  for (const [key, of] of value.pairs()) {
    if (of === null || of instanceof Undefined) continue;
    const name = textArgument(key, 'the name of an attribute');
    if (/[ \t\n\r\f\v/>=]/.test(name)) fail(`Invalid character in attribute name: ${repr(name, budget)}`);
    parts.push(`${escapeText(key, budget)}="${escapeText(of, budget)}"`);
  }
  const text = parts.join(' ');
  return (truth(space ?? true) && text !== '' ? ' ' : '') + text;
}

const entities: ReadonlyMap<string, string> = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
  ['nbsp', '\xa0'],
]);

function withoutTags(value: Value, runtime: Runtime): string {
  const text = softText(value, runtime);
  const bare = without(without(text, '<!--', '-->', runtime), '<', '>', runtime);
  const words = bare.match(new RegExp(`[^${spaces}]+`, 'g')) ?? [];
  return words
    .join(' ')
    .replace(/&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|([a-z]+));/g, (whole, decimal, hex, name) => {
      if (name !== undefined) return entities.get(name) ?? whole;
      const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal);
      return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd';
    });
}

/** Cuts out what stands between two marks, and the marks. */
function without(text: string, open: string, close: string, { budget }: Runtime): string {
  const parts: string[] = [];
  let from = 0;
  for (let start = text.indexOf(open); start >= 0; start = text.indexOf(open, from)) {
    budget.spend(1);
    const end = text.indexOf(close, start);
    if (end < 0) break;
    parts.push(text.slice(from, start));
    from = end + close.length;
  }
  return parts.join('') + text.slice(from);
}

function printed(value: Value, { budget }: Runtime): string {
  const text = sortedRepr(value, budget);
  // Longer ones are broken into lines by rules of their own.
  return text.length <= 80 ? text : fail('pprint is supported for values that fit a line of 80 characters');
}

export const textFilters: readonly (readonly [string, Filter])[] = [
  ['upper', textFilter((text) => text.toUpperCase())],
  ['lower', textFilter((text) => text.toLowerCase())],
  ['capitalize', textFilter(capitalized)],
  ['title', textFilter(titled)],
  [
    'trim',
    [
      'chars?',
      (value, [chars], runtime) => {
        const text = softText(value, runtime);
        if (chars === undefined || chars === null) return trimStart(trimEnd(text));
        const cut = new Set(textArgument(chars, 'the argument of trim'));
        return trimStart(
          trimEnd(text, (c) => cut.has(c)),
          (c) => cut.has(c),
        );
      },
    ],
  ],
  [
    'center',
    [
      'width?',
      (value, [width], runtime) =>
        centered(softText(value, runtime), [width === undefined ? 80n : width], runtime.budget),
    ],
  ],
  [
    'replace',
    [
      'old new count?',
      (value, [old, by, count], { budget }) => {
        const most = count === null ? -1 : countArgument(count, -1);
        return replaced(
          str(value, budget),
          str(old as Value, budget),
          str(by as Value, budget),
          most,
          budget,
        );
      },
    ],
  ],
  ['indent', ['width? first? blank?', indented]],
  ['truncate', ['length? killwords? end? leeway?', truncated]],
  [
    'wordwrap',
    [
      'width? break_long_words? wrapstring? break_on_hyphens?',
      (value, given, runtime) => wrapped(strict(value), given, runtime),
    ],
  ],
  [
    'wordcount',
    ['', (value, _, runtime) => BigInt(softText(value, runtime).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0)],
  ],
  ['string', ['', (value, _, { budget }) => (value instanceof Markup ? value : str(value, budget))]],
  ['safe', ['', (value, _, { budget }) => new Markup(str(value, budget))]],
  ['escape', ['', (value, _, { budget }) => new Markup(escapeText(value, budget))]],
  ['e', ['', (value, _, { budget }) => new Markup(escapeText(value, budget))]],
  ['forceescape', ['', (value, _, { budget }) => new Markup(escapeAll(str(value, budget), budget))]],
  ['urlencode', ['', (value, _, runtime) => urlEncoded(value, runtime)]],
  ['xmlattr', ['autospace?', attributes]],
  ['striptags', ['', (value, _, runtime) => withoutTags(value, runtime)]],
  ['pprint', ['', (value, _, runtime) => printed(value, runtime)]],
];
