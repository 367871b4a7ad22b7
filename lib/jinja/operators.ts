import type { ComparisonOperator } from './ast';
import { fail } from './errors';
import { iterate } from './iteration';
import type { Budget } from './limits';
import { compareText } from './unicode';
import {
  Dict,
  DictView,
  hashOf,
  integerOf,
  Markup,
  Range,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values';

/** `bool(value)` */
export function truth(value: Value): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value !== 'object' || value === null) return Boolean(value);
  if (value instanceof Tuple) return value.items.length > 0;
  if (value instanceof Dict) return value.size > 0;
  if (value instanceof DictView) return value.dict.size > 0;
  if (value instanceof Range) return value.length > 0;
  if (value instanceof Markup) return value.text !== '';
  return !(value instanceof Undefined);
}

/** The elements of a list or tuple, undefined for all else. */
export function elementsOf(value: Value): readonly Value[] | undefined {
  return Array.isArray(value) ? value : value instanceof Tuple ? value.items : undefined;
}

export function numberOf(value: Value): number | bigint | undefined {
  return typeof value === 'number' ? value : integerOf(value);
}

/** Exact between integers and floats. */
function sameNumber(a: number | bigint, b: number | bigint | undefined): boolean {
  if (typeof a === typeof b || b === undefined) return a === b;
  const [float, integer] = typeof a === 'number' ? [a, b] : [b, a];
  return Number.isInteger(float) && BigInt(float) === integer;
}

/** `a == b` */
export function equal(a: Value, b: Value, budget: Budget): boolean {
  if (a === b) return !Number.isNaN(a);
  budget.spend(1);
  const text = textOf(a);
  if (text !== undefined) {
    budget.spend(text.length / 64);
    return text === textOf(b);
  }
  const number = numberOf(a);
  if (number !== undefined) return sameNumber(number, numberOf(b));
  const items = elementsOf(a);
  if (items !== undefined) {
    const others = elementsOf(b);
    if (others === undefined || typeName(a) !== typeName(b) || items.length !== others.length) return false;
    return budget.nested(() => items.every((item, i) => equal(item, others[i] as Value, budget)));
  }
  if (a instanceof Dict && b instanceof Dict) {
    if (a.size !== b.size) return false;
    return budget.nested(() => {
      for (const [key, value] of a.pairs()) {
        const other = b.get(key, budget);
        if (other === undefined || !equal(value, other, budget)) return false;
      }
      return true;
    });
  }
  if (a instanceof Range && b instanceof Range) {
    return (
      a.length === b.length &&
      (a.length === 0 || (a.start === b.start && (a.length === 1 || a.step === b.step)))
    );
  }
  if (a instanceof DictView && b instanceof DictView && a.of === b.of && a.of !== 'values') {
    const keys = new Set(b.list().map((item) => hashOf(item, budget)));
    return a.dict.size === b.dict.size && a.list().every((item) => keys.has(hashOf(item, budget)));
  }
  return a instanceof Undefined && b instanceof Undefined;
}

/** −1, 0 or 1, NaN where the two are in no order. Throws for what Python does not compare. */
function order(a: Value, b: Value, operator: string, budget: Budget): number {
  refuseUndefined(a, b);
  const left = numberOf(a);
  const right = numberOf(b);
  if (left !== undefined && right !== undefined) {
    if (left < right) return -1;
    return left > right ? 1 : sameNumber(left, right) ? 0 : Number.NaN;
  }
  const text = textOf(a);
  const other = textOf(b);
  if (text !== undefined && other !== undefined) {
    budget.spend(Math.min(text.length, other.length) / 8);
    return compareText(text, other);
  }
  const items = elementsOf(a);
  const others = elementsOf(b);
  if (items !== undefined && others !== undefined && typeName(a) === typeName(b)) {
    return budget.nested(() => {
      for (let i = 0; i < items.length && i < others.length; i++) {
        const [item, against] = [items[i] as Value, others[i] as Value];
        if (!equal(item, against, budget)) return order(item, against, operator, budget);
      }
      return Math.sign(items.length - others.length);
    });
  }
  return unsupported(operator, a, b);
}

/** `a < b` */
export function isLess(a: Value, b: Value, budget: Budget): boolean {
  return order(a, b, '<', budget) < 0;
}

/** `item in container` */
export function contains(container: Value, item: Value, budget: Budget): boolean {
  const text = textOf(container);
  if (text !== undefined) {
    const wanted =
      textOf(item) ?? fail(`'in <string>' requires string as left operand, not ${typeName(item)}`);
    budget.spendSearch(text, wanted);
    return text.includes(wanted);
  }
  if (container instanceof Dict) return container.get(item, budget) !== undefined;
  if (container instanceof DictView && container.of === 'keys') {
    return container.dict.get(item, budget) !== undefined;
  }
  for (const element of iterate(container, budget)) {
    if (equal(element, item, budget)) return true;
  }
  return false;
}

export function compare(operator: ComparisonOperator, a: Value, b: Value, budget: Budget): boolean {
  switch (operator) {
    case '==':
      return equal(a, b, budget);
    case '!=':
      return !equal(a, b, budget);
    case '<':
      return order(a, b, operator, budget) < 0;
    case '<=':
      return order(a, b, operator, budget) <= 0;
    case '>':
      return order(a, b, operator, budget) > 0;
    case '>=':
      return order(a, b, operator, budget) >= 0;
    case 'in':
      return contains(b, a, budget);
    case 'not in':
      return !contains(b, a, budget);
  }
}

export function unsupported(operator: string, a: Value, b: Value): never {
  return fail(`unsupported operand types for ${operator}: '${typeName(a)}' and '${typeName(b)}'`);
}

export function refuseUndefined(...values: readonly Value[]): void {
  for (const value of values) if (value instanceof Undefined) value.raise();
}
