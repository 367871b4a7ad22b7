import { collectionMethod } from './collection-methods';
import { fail } from './errors';
import { countArgument } from './parameters';
import type { Runtime } from './runtime';
import { stringMethod } from './string-methods';
import { repr } from './text';
import { characters, lengthOf, sliceOf } from './unicode';
import {
  Dict,
  integerOf,
  Markup,
  ObjectValue,
  Range,
  SliceValue,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values';

/** What Python finds under a name in the object itself, methods included; undefined where there is nothing. */
function ownAttribute(value: Value, name: string): Value | undefined {
  if (typeof value === 'string' || value instanceof Markup) return stringMethod(value, name);
  const own = value instanceof ObjectValue ? value.attribute(name) : undefined;
  // None is an attribute, too.
  return own === undefined ? collectionMethod(value, name) : own;
}

/** Whether every object of Python has an attribute of this name, which no template may see. */
function isInternal(name: string): boolean {
  return /^__.+__$/.test(name);
}

function missing(value: Value, name: Value, { budget }: Runtime): Undefined {
  const type = value === null ? 'None' : `${typeName(value)} object`;
  if (typeof name === 'string') return new Undefined(`'${type}' has no attribute ${repr(name, budget)}`);
  return new Undefined(`${type} has no element ${repr(name, budget)}`);
}

function unsafe(value: Value, name: string): Undefined {
  return new Undefined(`access to attribute '${name}' of '${typeName(value)}' object is unsafe.`);
}

/** `value.name`: the attribute, else the item. */
export function attributeOf(value: Value, name: string, runtime: Runtime): Value {
  if (value instanceof Undefined) return value.raise();
  if (isInternal(name)) return unsafe(value, name);
  const own = ownAttribute(value, name);
  if (own !== undefined) return name.startsWith('_') ? unsafe(value, name) : own;
  return (
    (value instanceof Dict ? value.get(name, runtime.budget) : undefined) ?? absent(value, name, runtime)
  );
}

/** The item is None, or there is none. */
function absent(value: Value, name: Value, runtime: Runtime): Value {
  if (value instanceof Dict && value.get(name, runtime.budget) === null) return null;
  return missing(value, name, runtime);
}

/** `value[key]`: the item, else the attribute. */
export function itemOf(value: Value, key: Value, runtime: Runtime): Value {
  if (value instanceof Undefined) return value.raise();
  const item = plainItem(value, key, runtime);
  if (item !== undefined) return item;
  const name = textOf(key);
  if (name === undefined) return missing(value, key, runtime);
  if (isInternal(name)) return unsafe(value, name);
  const own = ownAttribute(value, name);
  if (own === undefined) return missing(value, name, runtime);
  return name.startsWith('_') ? unsafe(value, name) : own;
}

/** The item alone; undefined where Python raises TypeError, KeyError or IndexError. */
function plainItem(value: Value, key: Value, { budget }: Runtime): Value | undefined {
  if (value instanceof Dict) {
    const isHashable = !Array.isArray(key) && !(key instanceof Dict) && !(key instanceof SliceValue);
    return isHashable ? value.get(key, budget) : undefined;
  }
  const integer = integerOf(key);
  if (integer === undefined) return undefined;
  const wanted = countArgument(integer, 0);
  const text = textOf(value);
  if (text !== undefined) {
    budget.spendText(text.length);
    const length = lengthOf(text);
    const index = wanted < 0 ? wanted + length : wanted;
    return index >= 0 && index < length ? sliceOf(text, index, index + 1) : undefined;
  }
  if (value instanceof Range) {
    const index = wanted < 0 ? wanted + value.length : wanted;
    return index >= 0 && index < value.length ? value.at(index) : undefined;
  }
  const items = value instanceof Tuple ? value.items : value;
  return Array.isArray(items) ? (items.at(wanted) as Value | undefined) : undefined;
}

/** `value[start:stop:step]`, which has no attribute to fall back to. */
export function sliceItem(value: Value, { start, stop, step }: SliceValue, { budget }: Runtime): Value {
  if (value instanceof Undefined) return value.raise();
  const text = textOf(value);
  if (text !== undefined) {
    budget.spendText(text.length);
    const [first, last, stride] = bounds(lengthOf(text), start, stop, step);
    if (stride !== 1) budget.spend(text.length);
    const cut =
      stride === 1
        ? sliceOf(text, first, Math.max(first, last))
        : picked(characters(text), first, last, stride).join('');
    return value instanceof Markup ? new Markup(cut) : cut;
  }
  const items = value instanceof Tuple ? value.items : value;
  if (Array.isArray(items)) {
    budget.spend(items.length);
    const cut = picked(items as readonly Value[], ...bounds(items.length, start, stop, step));
    return value instanceof Tuple ? new Tuple(cut) : cut;
  }
  if (!(value instanceof Range)) return fail(`'${typeName(value)}' object is not subscriptable`);
  const [first, last, stride] = bounds(value.length, start, stop, step);
  return new Range(value.at(first), value.at(last), value.step * BigInt(stride));
}

function picked<T>(items: readonly T[], first: number, last: number, stride: number): T[] {
  const cut: T[] = [];
  for (let i = first; stride > 0 ? i < last : i > last; i += stride) cut.push(items[i] as T);
  return cut;
}

/** Python's rules for the three numbers of a slice. */
function bounds(length: number, start: Value, stop: Value, step: Value): [number, number, number] {
  const index = (value: Value) => countArgument(value === null ? undefined : value, 0);
  const stride = step === null ? 1 : index(step);
  if (stride === 0) fail('slice step cannot be zero');
  const [least, most] = stride > 0 ? [0, length] : [-1, length - 1];
  const clamp = (value: Value, otherwise: number) => {
    if (value === null) return otherwise;
    const at = index(value);
    return Math.max(least, Math.min(most, at < 0 ? at + length : at));
  };
  return [clamp(start, stride > 0 ? least : most), clamp(stop, stride > 0 ? most : least), stride];
}
