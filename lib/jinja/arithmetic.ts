import type { BinaryOperator } from './ast';
import { fail } from './errors';
import { escapeText } from './escape';
import type { Budget } from './limits';
import { bitLength, floatFloorDivide, floatModulo, floorDivide, floorModulo } from './numbers';
import { elementsOf, numberOf, refuseUndefined, unsupported } from './operators';
import { formatPercent } from './percent-format';
import { str } from './text';
import { integerOf, Markup, Tuple, textOf, typeName, type Value } from './values';

/** `a operator b` */
export function calculate(operator: BinaryOperator, a: Value, b: Value, budget: Budget): Value {
  if (operator === '%') {
    const format = textOf(a);
    if (format !== undefined) {
      const text = formatPercent(format, b, budget, a instanceof Markup);
      return a instanceof Markup ? new Markup(text) : text;
    }
  }
  refuseUndefined(a, b);
  const left = numberOf(a);
  const right = numberOf(b);
  if (left !== undefined && right !== undefined) return arithmetic(operator, left, right, budget);
  if (operator === '+') return added(a, b, budget);
  if (operator === '*')
    return repeated(a, b, budget) ?? repeated(b, a, budget) ?? unsupported(operator, a, b);
  return unsupported(operator, a, b);
}

/** Strings, lists or tuples behind each other. */
function added(a: Value, b: Value, budget: Budget): Value {
  const text = textOf(a);
  const other = textOf(b);
  if (text !== undefined && other !== undefined) {
    budget.spendText(text.length + other.length);
    if (!(a instanceof Markup || b instanceof Markup)) return text + other;
    return new Markup(escapeText(a, budget) + escapeText(b, budget));
  }
  const items = elementsOf(a);
  const others = elementsOf(b);
  if (items === undefined || others === undefined || typeName(a) !== typeName(b))
    return unsupported('+', a, b);
  budget.spend(items.length + others.length);
  const joined = [...items, ...others];
  return Array.isArray(a) ? joined : new Tuple(joined);
}

function repeated(a: Value, times: Value, budget: Budget): Value | undefined {
  const integer = integerOf(times);
  if (integer === undefined) return undefined;
  const count = integer < 0n ? 0 : Number(integer);
  const text = textOf(a);
  if (text !== undefined) {
    // Nothing repeated is nothing, however often.
    if (text === '') return a;
    budget.spendText(text.length * count);
    return a instanceof Markup ? new Markup(text.repeat(count)) : text.repeat(count);
  }
  const items = elementsOf(a);
  if (items === undefined) return undefined;
  budget.spend(items.length * count);
  const all: Value[] = [];
  for (let i = 0; i < count && items.length > 0; i++) for (const item of items) all.push(item);
  return Array.isArray(a) ? all : new Tuple(all);
}

function arithmetic(
  operator: BinaryOperator,
  a: number | bigint,
  b: number | bigint,
  budget: Budget,
): number | bigint {
  if (Number(b) === 0 && /[/%]/.test(operator)) fail('division by zero');
  if (typeof a === 'bigint' && typeof b === 'bigint') return ofIntegers(operator, a, b, budget);
  return ofFloats(operator, toFloat(a), toFloat(b));
}

/** An integer as a float; those that are too large are refused as in Python. */
export function toFloat(value: number | bigint): number {
  const float = Number(value);
  return typeof value === 'bigint' && !Number.isFinite(float)
    ? fail('int too large to convert to float')
    : float;
}

function ofIntegers(operator: BinaryOperator, a: bigint, b: bigint, budget: Budget): number | bigint {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      budget.spendBits(bitLength(a) + bitLength(b));
      return a * b;
    case '/':
      return divided(a, b);
    case '//':
      return floorDivide(a, b);
    case '%':
      return floorModulo(a, b);
    case '**':
      if (b < 0n) return ofFloats('**', toFloat(a), toFloat(b));
      if (a !== 0n && a !== 1n && a !== -1n) budget.spendBits(bitLength(a) * Number(b));
      return a ** b;
  }
}

/** The quotient rounded once, as Python rounds it. */
function divided(a: bigint, b: bigint): number {
  const [left, right] = [Number(a), Number(b)];
  if (Number.isSafeInteger(left) && Number.isSafeInteger(right)) return left / right;
  // 64 more bits than a float holds, and one that says whether there is a rest.
  const [above, below] = [a < 0n ? -a : a, b < 0n ? -b : b];
  const shift = Math.max(0, bitLength(below) - bitLength(above) + 128);
  const quotient = (above << BigInt(shift)) / below;
  const rest = (above << BigInt(shift)) % below === 0n ? 0n : 1n;
  const excess = Math.max(0, bitLength(quotient) - 128);
  const lost = quotient & ((1n << BigInt(excess)) - 1n);
  const head = (quotient >> BigInt(excess)) | (lost === 0n ? rest : 1n);
  const size = Number(head) * 2 ** (excess - shift);
  if (!Number.isFinite(size)) fail('integer division result too large for a float');
  return a < 0n !== b < 0n ? -size : size;
}

function ofFloats(operator: BinaryOperator, a: number, b: number): number {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    case '//':
      return floatFloorDivide(a, b);
    case '%':
      return floatModulo(a, b);
    case '**':
      return floatPower(a, b);
  }
}

function floatPower(a: number, b: number): number {
  if (a === 0 && b < 0) fail('zero cannot be raised to a negative power');
  if (a === 1) return 1;
  if (a === -1 && !Number.isFinite(b) && !Number.isNaN(b)) return 1;
  const power = a ** b;
  if (Number.isNaN(power) && !Number.isNaN(a) && !Number.isNaN(b)) fail('complex numbers are not supported');
  if (!Number.isFinite(power) && Number.isFinite(a) && Number.isFinite(b))
    fail('the result of ** is too large');
  return power;
}

/** `-value` and `+value` */
export function signed(sign: '-' | '+', value: Value): Value {
  refuseUndefined(value);
  const number = numberOf(value) ?? fail(`bad operand type for unary ${sign}: '${typeName(value)}'`);
  return sign === '-' ? -number : number;
}

/** `a ~ b`: what both print, one behind the other. */
export function concatenated(values: readonly Value[], budget: Budget): string {
  const parts = values.map((value) => str(value, budget));
  budget.spendText(parts.reduce((length, part) => length + part.length, 0));
  return parts.join('');
}
