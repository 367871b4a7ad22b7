import { type Arguments, bind } from './arguments';
import { fail, TemplateError } from './errors';
import { iterate, listOf } from './iteration';
import { maxRange } from './limits';
import { truth } from './operators';
import { textArgument } from './parameters';
import type { Runtime } from './runtime';
import { formatDate } from './strftime';
import { str } from './text';
import {
  Callable,
  Dict,
  integerOf,
  Namespace,
  ObjectValue,
  Range,
  Tuple,
  textOf,
  typeName,
  type Value,
} from './values';

function range({ positional, named }: Arguments): Range {
  if (named.size > 0) fail('range() takes no keyword arguments');
  const numbers = positional.map(
    (value) => integerOf(value) ?? fail(`'${typeName(value)}' object cannot be interpreted as an integer`),
  );
  if (numbers.length < 1 || numbers.length > 3)
    fail(`range expected 1 to 3 arguments, got ${numbers.length}`);
  const [first = 0n, second, step = 1n] = numbers;
  if (step === 0n) fail('range() arg 3 must not be zero');
  const made = second === undefined ? new Range(0n, first, 1n) : new Range(first, second, step);
  if (made.length > Number(maxRange))
    fail(`Range too big. The sandbox blocks ranges larger than ${maxRange}.`);
  return made;
}

/** The pairs of `dict(…)` and `namespace(…)`: of a dict or a list of pairs, then those by name. */
function pairsOf(
  called: string,
  { positional, named }: Arguments,
  { budget }: Runtime,
): (readonly [Value, Value])[] {
  if (positional.length > 1) fail(`${called} expected at most 1 argument, got ${positional.length}`);
  const [source] = positional;
  const pairs: (readonly [Value, Value])[] = [];
  if (source instanceof Dict) pairs.push(...source.pairs());
  else if (source !== undefined) {
    for (const item of iterate(source, budget)) {
      const [key, value, ...more] = listOf(item, budget);
      if (key === undefined || value === undefined || more.length > 0) fail(`${called} takes pairs`);
      pairs.push([key as Value, value as Value]);
    }
  }
  return [...pairs, ...named];
}

function namespace(given: Arguments, runtime: Runtime): Namespace {
  const members = new Map<string, Value>();
  for (const [key, value] of pairsOf('namespace', given, runtime)) {
    members.set(textOf(key) ?? str(key, runtime.budget), value);
  }
  return new Namespace(members);
}

/** `cycler(a, b, …)` */
class Cycler extends ObjectValue {
  readonly typeName = 'Cycler';
  private position = 0;

  constructor(private readonly items: readonly Value[]) {
    super();
  }

  override attribute(name: string): Value | undefined {
    switch (name) {
      case 'current':
        return this.items[this.position];
      case 'pos':
        return BigInt(this.position);
      case 'items':
        return new Tuple(this.items);
      case 'next':
        return new Callable(name, () => {
          const item = this.items[this.position] as Value;
          this.position = (this.position + 1) % this.items.length;
          return item;
        });
      case 'reset':
        return new Callable(name, () => {
          this.position = 0;
          return null;
        });
    }
    return undefined;
  }
}

function joiner(given: Arguments): Callable {
  const [separator] = bind('joiner', given, 'sep?');
  let used = false;
  const next = (inner: Arguments): Value => {
    bind('joiner', inner, '');
    if (used) return separator ?? (separator === null ? null : ', ');
    used = true;
    return '';
  };
  return new Callable('joiner', next, 'Joiner');
}

function lipsum(): never {
  return fail('lipsum is not supported: what it gives is random');
}

const functions: readonly (readonly [string, (given: Arguments, runtime: Runtime) => Value])[] = [
  ['range', range],
  ['dict', (given, runtime) => new Dict(pairsOf('dict', given, runtime), runtime.budget)],
  ['namespace', namespace],
  [
    'cycler',
    ({ positional, named }) => {
      if (named.size > 0 || positional.length === 0) fail('cycler takes at least one item');
      return new Cycler(positional);
    },
  ],
  ['joiner', joiner],
  ['lipsum', lipsum],
  [
    'raise_exception',
    (given, { budget }) => {
      const [message] = bind('raise_exception', given, 'message');
      const said = truth(message as Value) ? str(message as Value, budget) : '';
      throw new TemplateError(said, 'raised');
    },
  ],
  [
    'strftime_now',
    (given, { budget }) => {
      const [format] = bind('strftime_now', given, 'format');
      return formatDate(new Date(), textArgument(format, 'the format'), budget);
    },
  ],
];

/** What every template knows besides its variables. */
export const globals: ReadonlyMap<string, Value> = new Map(
  functions.map(([name, call]) => [name, new Callable(name, call, 'function')]),
);
