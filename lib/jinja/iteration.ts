import { fail } from './errors';
import type { Budget } from './limits';
import { characters, lengthOf } from './unicode';
import {
  Dict,
  DictView,
  ObjectValue,
  Range,
  Stream,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values';

/** What `for` goes through, undefined for what cannot be gone through. */
function elements(value: Value, budget: Budget): Iterable<Value> | undefined {
  const text = textOf(value);
  if (text !== undefined) {
    budget.spend(text.length);
    return characters(text);
  }
  if (Array.isArray(value)) return value;
  if (!(value instanceof ObjectValue)) return undefined;
  if (value instanceof Tuple) return value.items;
  if (value instanceof Dict) return value.keys();
  if (value instanceof DictView) return value.list();
  if (value instanceof Range) return value.items();
  if (value instanceof Undefined) return [];
  return value instanceof Stream ? { [Symbol.iterator]: () => value.items } : undefined;
}

const iterables = [Tuple, Dict, DictView, Range, Stream, Undefined];

export function isIterable(value: Value): boolean {
  return (
    textOf(value) !== undefined || Array.isArray(value) || iterables.some((kind) => value instanceof kind)
  );
}

/** Goes through a value as `for` does, and pays for each element. */
export function iterate(value: Value, budget: Budget): IterableIterator<Value> {
  const found = elements(value, budget) ?? fail(`'${typeName(value)}' object is not iterable`);
  return paid(found, budget);
}

function* paid(items: Iterable<Value>, budget: Budget): IterableIterator<Value> {
  const iterator = items[Symbol.iterator]();
  // By hand: a loop of ours that ends early must not close a stream, which others may read on.
  for (let next = iterator.next(); !next.done; next = iterator.next()) {
    budget.spend(1);
    yield next.value;
  }
}

/** `list(value)` */
export function listOf(value: Value, budget: Budget): Value[] {
  return [...iterate(value, budget)];
}

/** `len(value)`, undefined for what has no length. */
export function sizeOf(value: Value): number | undefined {
  const text = textOf(value);
  if (text !== undefined) return lengthOf(text);
  if (Array.isArray(value)) return value.length;
  if (value instanceof Tuple) return value.items.length;
  if (value instanceof Dict) return value.size;
  if (value instanceof DictView) return value.dict.size;
  if (value instanceof Range) return value.length;
  return value instanceof Undefined ? 0 : undefined;
}

export function lengthOrFail(value: Value): number {
  return sizeOf(value) ?? fail(`object of type '${typeName(value)}' has no len()`);
}
