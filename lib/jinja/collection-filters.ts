import { itemOf } from './access';
import { calculate } from './arithmetic';
import { fail } from './errors';
import type { Filter } from './filter';
import { iterate, lengthOrFail, listOf } from './iteration';
import type { Budget } from './limits';
import { equal, isLess, truth } from './operators';
import { countArgument, textArgument } from './parameters';
import type { Runtime } from './runtime';
import { str } from './text';
import { characters } from './unicode';
import {
  Dict,
  DictView,
  hashOf,
  integerOf,
  Range,
  Stream,
  Tuple,
  textOf,
  Undefined,
  type Value,
} from './values';

type Given = readonly (Value | undefined)[];
type Getter = (item: Value) => Value;

/** What an attribute's name, a dotted path or an index gets from an item. */
export function getter(attribute: Value | undefined, runtime: Runtime, otherwise: Value = null): Getter {
  const path = attribute ?? null;
  if (path === null) return (item) => item;
  const text = textOf(path);
  const steps: Value[] =
    text === undefined
      ? [path]
      : text.split('.').map((step) => (/^\p{Nd}+$/u.test(step) ? BigInt(step) : step));
  return (item) => {
    let value = item;
    for (const step of steps) {
      runtime.budget.spend(1);
      value = itemOf(value, step, runtime);
      if (otherwise !== null && value instanceof Undefined) value = otherwise;
    }
    return value;
  };
}

function lowered(value: Value): Value {
  return textOf(value)?.toLowerCase() ?? value;
}

/** What items are compared by. */
function keyGetter(attribute: Value | undefined, caseSensitive: Value | undefined, runtime: Runtime): Getter {
  const get = getter(attribute, runtime);
  return truth(caseSensitive ?? false) ? get : (item) => lowered(get(item));
}

function sortedBy(items: readonly Value[], key: Getter, reverse: boolean, { budget }: Runtime): Value[] {
  const keyed = items.map((item) => ({ item, key: key(item) }));
  const direction = reverse ? -1 : 1;
  keyed.sort((a, b) => {
    budget.spend(1);
    if (isLess(a.key, b.key, budget)) return -direction;
    return isLess(b.key, a.key, budget) ? direction : 0;
  });
  return keyed.map(({ item }) => item);
}

function sorted(value: Value, [reverse, caseSensitive, attribute]: Given, runtime: Runtime): Value {
  const text = textOf(attribute ?? null);
  const paths: (Value | undefined)[] = text === undefined ? [attribute] : text.split(',');
  const getters = paths.map((path) => keyGetter(path, caseSensitive, runtime));
  const key = (item: Value) => getters.map((get) => get(item));
  return sortedBy(listOf(value, runtime.budget), key, countArgument(reverse, 0) !== 0, runtime);
}

function dictSorted(value: Value, [caseSensitive, by, reverse]: Given, runtime: Runtime): Value {
  if (value instanceof Undefined) value.raise();
  if (!(value instanceof Dict)) return fail('dictsort takes a dict');
  const position = ['key', 'value'].indexOf(by === undefined ? 'key' : textArgument(by, 'by'));
  if (position < 0) fail('You can only sort by either "key" or "value"');
  const part = (item: Value) => (item as Tuple).items[position] as Value;
  const key = truth(caseSensitive ?? false) ? part : (item: Value) => lowered(part(item));
  return sortedBy(value.items(), key, countArgument(reverse, 0) !== 0, runtime);
}

/** A pair that `groupby` gives. */
class Group extends Tuple {
  override attribute(name: string): Value | undefined {
    if (name === 'grouper') return this.items[0];
    return name === 'list' ? this.items[1] : undefined;
  }
}

function grouped(value: Value, [attribute, otherwise, caseSensitive]: Given, runtime: Runtime): Value {
  const { budget } = runtime;
  const get = getter(attribute, runtime, otherwise ?? null);
  const key: Getter = truth(caseSensitive ?? false) ? get : (item) => lowered(get(item));
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sortedBy(listOf(value, budget), key, false, runtime)) {
    const last = groups.at(-1);
    if (last !== undefined && equal(last.key, key(item), budget)) last.items.push(item);
    else groups.push({ key: key(item), items: [item] });
  }
  return groups.map(({ items }) => new Group([get(items[0] as Value), items]));
}

function* unique(value: Value, [caseSensitive, attribute]: Given, runtime: Runtime): Generator<Value> {
  const key = keyGetter(attribute, caseSensitive, runtime);
  const seen = new Set<string>();
  for (const item of iterate(value, runtime.budget)) {
    const hash = hashOf(key(item), runtime.budget);
    if (seen.has(hash)) continue;
    seen.add(hash);
    yield item;
  }
}

function extreme(value: Value, [caseSensitive, attribute]: Given, runtime: Runtime, largest: boolean): Value {
  const key = keyGetter(attribute, caseSensitive, runtime);
  let best: { item: Value; key: Value } | undefined;
  for (const item of iterate(value, runtime.budget)) {
    const candidate = { item, key: key(item) };
    if (best === undefined) best = candidate;
    else {
      const [less, more] = largest ? [best.key, candidate.key] : [candidate.key, best.key];
      if (isLess(less, more, runtime.budget)) best = candidate;
    }
  }
  return best === undefined ? new Undefined('No aggregated item, sequence was empty.') : best.item;
}

function* batched(value: Value, [count, fill]: Given, { budget }: Runtime): Generator<Value> {
  // What is no number is never reached.
  const size = typeof count === 'number' ? count : Number(integerOf(count as Value) ?? Number.NaN);
  let batch: Value[] = [];
  for (const item of iterate(value, budget)) {
    if (batch.length === size) {
      yield batch;
      batch = [];
    }
    batch.push(item);
  }
  if (batch.length === 0) return;
  if (fill === undefined || fill === null) {
    yield batch;
    return;
  }
  if (Number.isNaN(size) || !Number.isInteger(size)) fail('the size of a batch must be an integer');
  if (batch.length < size) {
    budget.spend(size - batch.length);
    while (batch.length < size) batch.push(fill);
  }
  yield batch;
}

function* sliced(value: Value, [count, fill]: Given, { budget }: Runtime): Generator<Value> {
  const items = listOf(value, budget);
  const slices = countArgument(count, 0);
  if (slices === 0) fail('division by zero');
  const [each, longer] = [Math.floor(items.length / slices), ((items.length % slices) + slices) % slices];
  for (let i = 0, from = 0; i < slices; i++) {
    const size = each + (i < longer ? 1 : 0);
    const part = items.slice(from, from + size);
    from += size;
    if (fill !== undefined && fill !== null && i >= longer) part.push(fill);
    budget.spend(part.length + 4);
    yield part;
  }
}

function* pairs(value: Value, { budget }: Runtime): Generator<Value> {
  if (value instanceof Undefined) return;
  if (!(value instanceof Dict)) fail('Can only get item pairs from a mapping.');
  yield* iterate(new DictView(value as Dict, 'items'), budget);
}

function first(value: Value, { budget }: Runtime): Value {
  const { value: item, done } = iterate(value, budget).next();
  return done ? new Undefined('No first item, sequence was empty.') : item;
}

function reversible(value: Value): boolean {
  const kinds = [Tuple, Dict, DictView, Range, Undefined];
  return textOf(value) !== undefined || Array.isArray(value) || kinds.some((kind) => value instanceof kind);
}

function last(value: Value, { budget }: Runtime): Value {
  if (!reversible(value)) fail('the value cannot be reversed');
  return (
    listOf(value, budget).at(-1) ??
    (lengthOrFail(value) > 0 ? null : new Undefined('No last item, sequence was empty.'))
  );
}

function reversed(value: Value, { budget }: Runtime): Value {
  const text = textOf(value);
  if (text !== undefined) {
    budget.spendText(text.length);
    return [...characters(text)].reverse().join('');
  }
  const items = listOf(value, budget).reverse();
  return reversible(value) ? new Stream(items.values(), 'list_reverseiterator') : items;
}

function summed(value: Value, [attribute, start]: Given, runtime: Runtime): Value {
  const get = getter(attribute, runtime);
  let sum: Value = start === undefined ? 0n : start;
  if (textOf(sum) !== undefined) fail("sum() can't sum strings [use ''.join(seq) instead]");
  for (const item of iterate(value, runtime.budget)) sum = calculate('+', sum, get(item), runtime.budget);
  return sum;
}

function joined(value: Value, [separator, attribute]: Given, runtime: Runtime): Value {
  const { budget } = runtime;
  const get = getter(attribute, runtime);
  const between = str(separator ?? (separator === null ? null : ''), budget);
  const parts: string[] = [];
  let length = 0;
  for (const item of iterate(value, budget)) {
    const part = str(get(item), budget);
    length += part.length + between.length;
    if (length > budget.limits.textLength) budget.spendText(length);
    parts.push(part);
  }
  budget.spendText(length);
  return parts.join(between);
}

function randomItem(value: Value, runtime: Runtime): Value {
  const length = lengthOrFail(value);
  if (length === 0) return new Undefined('No random item, sequence was empty.');
  return itemOf(value, BigInt(Math.floor(Math.random() * length)), runtime);
}

function counted(value: Value, budget: Budget): bigint {
  budget.spendText(textOf(value)?.length ?? 0);
  return BigInt(lengthOrFail(value));
}

export const collectionFilters: readonly (readonly [string, Filter])[] = [
  ['length', ['', (value, _, { budget }) => counted(value, budget)]],
  ['count', ['', (value, _, { budget }) => counted(value, budget)]],
  ['list', ['', (value, _, { budget }) => listOf(value, budget)]],
  ['first', ['', (value, _, runtime) => first(value, runtime)]],
  ['last', ['', (value, _, runtime) => last(value, runtime)]],
  ['random', ['', (value, _, runtime) => randomItem(value, runtime)]],
  ['reverse', ['', (value, _, runtime) => reversed(value, runtime)]],
  ['join', ['d? attribute?', joined]],
  ['sum', ['attribute? start?', summed]],
  ['sort', ['reverse? case_sensitive? attribute?', sorted]],
  ['dictsort', ['case_sensitive? by? reverse?', dictSorted]],
  ['groupby', ['attribute default? case_sensitive?', grouped]],
  ['unique', ['case_sensitive? attribute?', (...given) => new Stream(unique(...given))]],
  ['min', ['case_sensitive? attribute?', (value, given, runtime) => extreme(value, given, runtime, false)]],
  ['max', ['case_sensitive? attribute?', (value, given, runtime) => extreme(value, given, runtime, true)]],
  ['batch', ['linecount fill_with?', (...given) => new Stream(batched(...given))]],
  ['slice', ['slices fill_with?', (...given) => new Stream(sliced(...given))]],
  ['items', ['', (value, _, runtime) => new Stream(pairs(value, runtime))]],
];
