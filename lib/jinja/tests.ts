import type { Arguments } from './arguments';
import { bind } from './arguments';
import { calculate } from './arithmetic';
import type { ComparisonOperator } from './ast';
import { isIterable, sizeOf } from './iteration';
import type { Budget } from './limits';
import { compare, equal } from './operators';
import type { Runtime } from './runtime';
import { isLower, isUpper } from './string-cases';
import { str } from './text';
import {
  Callable,
  Dict,
  DictView,
  hashOf,
  integerOf,
  Markup,
  ObjectValue,
  Stream,
  textOf,
  Undefined,
  type Value,
} from './values';

type Test = readonly [
  parameters: string,
  run: (value: Value, given: readonly (Value | undefined)[], runtime: Runtime) => boolean,
];

function remainderIs(value: Value, by: Value, wanted: bigint, { budget }: Runtime): boolean {
  return equal(calculate('%', value, by, budget), wanted, budget);
}

function comparison(operator: ComparisonOperator): Test {
  return ['other', (value, [other], { budget }) => compare(operator, value, other as Value, budget)];
}

function isSame(value: Value, other: Value): boolean {
  if (value instanceof Markup || other instanceof Markup) return value === other;
  return Object.is(value, other);
}

function isSequence(value: Value): boolean {
  return sizeOf(value) !== undefined && !(value instanceof DictView) && !(value instanceof Stream);
}

function isName(value: Value, names: { has(name: string): boolean }, budget: Budget): boolean {
  // Throws for lists and dicts, as looking for them does in Python.
  hashOf(value, budget);
  return names.has(textOf(value) ?? '');
}

const simple = (run: (value: Value) => boolean): Test => ['', run];

const table: readonly (readonly [string, Test])[] = [
  ['odd', ['', (value, _, runtime) => remainderIs(value, 2n, 1n, runtime)]],
  ['even', ['', (value, _, runtime) => remainderIs(value, 2n, 0n, runtime)]],
  ['divisibleby', ['num', (value, [by], runtime) => remainderIs(value, by as Value, 0n, runtime)]],
  ['defined', simple((value) => !(value instanceof Undefined))],
  ['undefined', simple((value) => value instanceof Undefined)],
  ['none', simple((value) => value === null)],
  ['boolean', simple((value) => typeof value === 'boolean')],
  ['true', simple((value) => value === true)],
  ['false', simple((value) => value === false)],
  ['integer', simple((value) => typeof value === 'bigint')],
  ['float', simple((value) => typeof value === 'number')],
  ['number', simple((value) => typeof value === 'number' || integerOf(value) !== undefined)],
  ['string', simple((value) => textOf(value) !== undefined)],
  ['mapping', simple((value) => value instanceof Dict)],
  ['sequence', simple(isSequence)],
  [
    'iterable',
    simple(
      (value) => isIterable(value) || (value instanceof ObjectValue && value.typeName === 'LoopContext'),
    ),
  ],
  [
    'callable',
    simple((value) => value instanceof Callable || (value instanceof ObjectValue && isCalled(value))),
  ],
  ['escaped', simple((value) => value instanceof Markup)],
  ['lower', ['', (value, _, { budget }) => isLower(str(value, budget))]],
  ['upper', ['', (value, _, { budget }) => isUpper(str(value, budget))]],
  ['sameas', ['other', (value, [other]) => isSame(value, other as Value)]],
  ['in', ['seq', (value, [container], { budget }) => compare('in', value, container as Value, budget)]],
  ['filter', ['', (value, _, { filters, budget }) => isName(value, filters, budget)]],
  ['test', ['', (value, _, runtime) => isName(value, runtime.tests, runtime.budget)]],
  ...(['==', 'eq', 'equalto'] as const).map((name) => [name, comparison('==')] as const),
  ...(['!=', 'ne'] as const).map((name) => [name, comparison('!=')] as const),
  ...(['>', 'gt', 'greaterthan'] as const).map((name) => [name, comparison('>')] as const),
  ...(['>=', 'ge'] as const).map((name) => [name, comparison('>=')] as const),
  ...(['<', 'lt', 'lessthan'] as const).map((name) => [name, comparison('<')] as const),
  ...(['<=', 'le'] as const).map((name) => [name, comparison('<=')] as const),
];

/** Undefined has a call that raises, loops one that recurses. */
function isCalled(value: ObjectValue): boolean {
  return value instanceof Undefined || value.typeName === 'LoopContext' || value.typeName === 'Joiner';
}

/** All tests by name. */
export const tests: ReadonlyMap<string, (value: Value, given: Arguments, runtime: Runtime) => boolean> =
  new Map(
    table.map(([name, [parameters, run]]) => [
      name,
      (value: Value, given: Arguments, runtime: Runtime) =>
        run(value, bind(name, given, parameters), runtime),
    ]),
  );
