import { bind } from './arguments';
import { fail } from './errors';
import { iterate } from './iteration';
import type { Budget } from './limits';
import { bitLength } from './numbers';
import { equal } from './operators';
import { spanOf } from './parameters';
import { Callable, Dict, DictView, integerOf, Range, Tuple, type Value } from './values';

type Given = readonly (Value | undefined)[];
type Method<T> = readonly [parameters: string, run: (self: T, given: Given, budget: Budget) => Value];

const dictMethods: ReadonlyMap<string, Method<Dict>> = new Map<string, Method<Dict>>([
  [
    'get',
    [
      'key default? /',
      (self, [key, otherwise], budget) => {
        const value = self.get(key as Value, budget);
        return value === undefined ? (otherwise ?? null) : value;
      },
    ],
  ],
  ['items', ['', (self) => new DictView(self, 'items')]],
  ['keys', ['', (self) => new DictView(self, 'keys')]],
  ['values', ['', (self) => new DictView(self, 'values')]],
  ['copy', ['', (self, _, budget) => new Dict(self.pairs(), budget)]],
  [
    'fromkeys',
    [
      'iterable value? /',
      (_, [keys, value], budget) => {
        const pairs = [...iterate(keys as Value, budget)].map((key) => [key, value ?? null] as const);
        return new Dict(pairs, budget);
      },
    ],
  ],
]);

function count(items: readonly Value[], [wanted]: Given, budget: Budget): Value {
  return BigInt(items.filter((item) => equal(item, wanted as Value, budget)).length);
}

function index(items: readonly Value[], [wanted, start, stop]: Given, budget: Budget): Value {
  const [from, to] = spanOf(items.length, start, stop);
  for (let i = from; i < to; i++) {
    if (equal(items[i] as Value, wanted as Value, budget)) return BigInt(i);
  }
  return fail('the value is not in the list');
}

const listMethods: ReadonlyMap<string, Method<readonly Value[]>> = new Map<string, Method<readonly Value[]>>([
  ['count', ['value /', count]],
  ['index', ['value start? stop? /', index]],
]);

function copied(self: readonly Value[], budget: Budget): Value {
  budget.spend(self.length);
  return [...self];
}

const integerMethods: ReadonlyMap<string, Method<bigint>> = new Map<string, Method<bigint>>([
  ['bit_length', ['', (self) => (self === 0n ? 0n : exactBits(self))]],
  ['bit_count', ['', (self) => BigInt(absolute(self).toString(2).replaceAll('0', '').length)]],
  ['conjugate', ['', (self) => self]],
]);

function absolute(value: bigint): bigint {
  return value < 0n ? -value : value;
}

function exactBits(value: bigint): bigint {
  const upper = bitLength(value);
  const head = absolute(value) >> BigInt(upper - 4);
  return BigInt(upper - 4 + head.toString(2).length);
}

const floatMethods: ReadonlyMap<string, Method<number>> = new Map<string, Method<number>>([
  ['is_integer', ['', (self) => Number.isInteger(self)]],
  ['conjugate', ['', (self) => self]],
]);

function bound<T>(self: T, name: string, method: Method<T> | undefined): Callable | undefined {
  if (method === undefined) return undefined;
  const [parameters, run] = method;
  return new Callable(name, (given, { budget }) => run(self, bind(name, given, parameters), budget));
}

/** Methods and attributes of what is no string. Those that would change a value are left out, as in the sandbox. */
export function collectionMethod(value: Value, name: string): Value | undefined {
  if (value instanceof Dict) return bound(value, name, dictMethods.get(name));
  if (Array.isArray(value)) {
    if (name === 'copy') return bound(value, name, ['', (self, _, budget) => copied(self, budget)]);
    return bound<readonly Value[]>(value, name, listMethods.get(name));
  }
  if (value instanceof Tuple) return bound(value.items, name, listMethods.get(name));
  if (value instanceof Range) return rangeAttribute(value, name);
  const integer = integerOf(value);
  if (integer !== undefined) return integerAttribute(integer, name);
  if (typeof value !== 'number') return undefined;
  if (name === 'real') return value;
  return name === 'imag' ? 0 : bound(value, name, floatMethods.get(name));
}

function integerAttribute(value: bigint, name: string): Value | undefined {
  if (name === 'real' || name === 'numerator') return value;
  if (name === 'imag') return 0n;
  return name === 'denominator' ? 1n : bound(value, name, integerMethods.get(name));
}

function rangeAttribute(range: Range, name: string): Value | undefined {
  if (name === 'start' || name === 'stop' || name === 'step') return range[name];
  return bound(range, name, rangeMethods.get(name));
}

const rangeMethods: ReadonlyMap<string, Method<Range>> = new Map<string, Method<Range>>([
  ['count', ['value /', (self, given, budget) => count([...self.items()], given, budget)]],
  ['index', ['value /', (self, given, budget) => index([...self.items()], given, budget)]],
]);
