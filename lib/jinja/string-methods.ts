import { type Arguments, bind } from './arguments';
import { formatBraces } from './brace-format';
import { fail } from './errors';
import { iterate } from './iteration';
import type { Budget } from './limits';
import { countArgument, textArgument } from './parameters';
import type { Runtime } from './runtime';
import { caseMethods } from './string-cases';
import { searchMethods } from './string-search';
import { splitMethods } from './string-splits';
import { lengthOf, trimEnd, trimStart } from './unicode';
import { Callable, Dict, Markup, textOf, typeName, type Value } from './values';

/** A method of strings: its parameters as `bind` reads them, and what it does. */
export type StringMethod = readonly [
  parameters: string,
  run: (text: string, given: readonly (Value | undefined)[], budget: Budget) => Value,
];

/** Which characters `strip` and its like cut: those of a string, white space without one. */
function cutCharacters(characters: Value | undefined): ((character: string) => boolean) | undefined {
  if (characters === undefined || characters === null) return undefined;
  const cut = new Set(textArgument(characters, 'the argument of strip'));
  return (character) => cut.has(character);
}

function padded(
  text: string,
  [width, fill]: readonly (Value | undefined)[],
  budget: Budget,
  left: (pad: number, width: number) => number,
) {
  const filler = fill === undefined ? ' ' : textArgument(fill, 'the fill character');
  if (lengthOf(filler) !== 1) fail('the fill character must be exactly one character long');
  const columns = countArgument(width, 0);
  const pad = columns - lengthOf(text);
  if (pad <= 0) return text;
  budget.spendText(text.length + pad * filler.length);
  const before = left(pad, columns);
  return filler.repeat(before) + text + filler.repeat(pad - before);
}

/** `str.center` puts the odd space to the left where the width is odd. */
export function centered(text: string, given: readonly (Value | undefined)[], budget: Budget): string {
  return padded(text, given, budget, (pad, width) => Math.floor(pad / 2) + (pad & width & 1));
}

export function joined(separator: string, items: Value, budget: Budget): string {
  const parts: string[] = [];
  let length = 0;
  for (const item of iterate(items, budget)) {
    const part = textOf(item) ?? fail(`join expects strings, found ${typeName(item)}`);
    length += part.length + separator.length;
    if (length > budget.limits.textLength) budget.spendText(length);
    parts.push(part);
  }
  budget.spendText(length);
  return parts.join(separator);
}

function zeroFilled(text: string, [width]: readonly (Value | undefined)[], budget: Budget): string {
  const pad = countArgument(width, 0) - lengthOf(text);
  if (pad <= 0) return text;
  budget.spendText(text.length + pad);
  const sign = /^[-+]/.exec(text)?.[0] ?? '';
  return sign + '0'.repeat(pad) + text.slice(sign.length);
}

function expanded(text: string, [size]: readonly (Value | undefined)[], budget: Budget): string {
  const width = countArgument(size, 8);
  const parts: string[] = [];
  let column = 0;
  let length = 0;
  for (const piece of text.split(/([\t\n\r])/)) {
    const pad = piece === '\t' && width > 0 ? width - (column % width) : 0;
    length += piece.length + pad;
    if (length > budget.limits.textLength) budget.spendText(length);
    parts.push(piece === '\t' ? ' '.repeat(pad) : piece);
    column = piece === '\n' || piece === '\r' ? 0 : column + (piece === '\t' ? pad : lengthOf(piece));
  }
  budget.spendText(length);
  return parts.join('');
}

const ownMethods: readonly (readonly [string, StringMethod])[] = [
  [
    'strip',
    ['chars? /', (text, [chars]) => trimStart(trimEnd(text, cutCharacters(chars)), cutCharacters(chars))],
  ],
  ['lstrip', ['chars? /', (text, [chars]) => trimStart(text, cutCharacters(chars))]],
  ['rstrip', ['chars? /', (text, [chars]) => trimEnd(text, cutCharacters(chars))]],
  ['center', ['width fillchar? /', centered]],
  ['ljust', ['width fillchar? /', (text, given, budget) => padded(text, given, budget, () => 0)]],
  ['rjust', ['width fillchar? /', (text, given, budget) => padded(text, given, budget, (pad) => pad)]],
  ['zfill', ['width /', zeroFilled]],
  ['expandtabs', ['tabsize?', expanded]],
  ['join', ['iterable /', (text, [items], budget) => joined(text, items as Value, budget)]],
  [
    'removeprefix',
    [
      'prefix /',
      (text, [prefix]) => {
        const cut = textArgument(prefix, 'the prefix');
        return text.startsWith(cut) ? text.slice(cut.length) : text;
      },
    ],
  ],
  [
    'removesuffix',
    [
      'suffix /',
      (text, [suffix]) => {
        const cut = textArgument(suffix, 'the suffix');
        return text.endsWith(cut) ? text.slice(0, text.length - cut.length) : text;
      },
    ],
  ],
];

const methods: ReadonlyMap<string, StringMethod> = new Map([
  ...ownMethods,
  ...caseMethods,
  ...searchMethods,
  ...splitMethods,
]);

/** `text.name`, bound. */
export function stringMethod(self: string | Markup, name: string): Callable | undefined {
  const text = textOf(self) as string;
  const wrap = (value: Value) =>
    self instanceof Markup && typeof value === 'string' ? new Markup(value) : value;
  if (name === 'format') {
    return new Callable(name, (given, runtime) => wrap(formatBraces(text, given, runtime)));
  }
  if (name === 'format_map')
    return new Callable(name, (given, runtime) => wrap(formatMap(text, given, runtime)));
  const method = methods.get(name);
  if (method === undefined) return undefined;
  const [parameters, run] = method;
  return new Callable(name, (given, { budget }) => {
    // Twice what a text of its length takes: some go through it character by character.
    budget.spend(text.length / 4);
    return wrap(run(text, bind(name, given, parameters), budget));
  });
}

function formatMap(text: string, given: Arguments, runtime: Runtime): string {
  const [mapping] = bind('format_map', given, 'mapping /');
  const named = new Map<string, Value>();
  for (const [key, value] of mapping instanceof Dict ? mapping.pairs() : []) {
    const name = textOf(key);
    if (name !== undefined) named.set(name, value);
  }
  return formatBraces(text, { positional: [], named }, runtime);
}
