import { attributeOf } from './access';
import { calculate, toFloat } from './arithmetic';
import { fail } from './errors';
import type { Filter } from './filter';
import type { Budget } from './limits';
import { fixedDigits, parseFloatText, parseInteger, roundFloat, roundInteger } from './numbers';
import { truth } from './operators';
import { countArgument, textArgument } from './parameters';
import type { Runtime } from './runtime';
import { trimEnd, trimStart } from './unicode';
import { Dict, integerOf, textOf, typeName, Undefined, type Value } from './values';

type Given = readonly (Value | undefined)[];

/** `float(value)`, undefined where Python raises TypeError or ValueError. */
function floatOf(value: Value): number | undefined {
  if (value instanceof Undefined) value.raise();
  if (typeof value === 'number') return value;
  const integer = integerOf(value);
  if (integer !== undefined) return toFloat(integer);
  const text = textOf(value);
  if (text === undefined || text.length > 10_000) return undefined;
  return parseFloatText(trimStart(trimEnd(text)));
}

function truncated(value: number): bigint | undefined {
  if (Number.isNaN(value)) return undefined;
  return Number.isFinite(value)
    ? BigInt(Math.trunc(value))
    : fail('cannot convert float infinity to integer');
}

function toInteger(value: Value, [otherwise, base]: Given): Value {
  const fallback = otherwise === undefined ? 0n : otherwise;
  const integer = integerOf(value);
  if (integer !== undefined) return integer;
  if (typeof value === 'number') return truncated(value) ?? fallback;
  const text = textOf(value);
  if (text !== undefined && text.length <= 10_000) {
    const radix = base === undefined ? 10 : Number(integerOf(base) ?? Number.NaN);
    const valid = radix === 0 || (radix >= 2 && radix <= 36);
    const whole = valid ? parseInteger(trimStart(trimEnd(text)), radix) : undefined;
    if (whole !== undefined) return whole;
  }
  const float = floatOf(value);
  return float === undefined || !Number.isFinite(float) ? fallback : BigInt(Math.trunc(float));
}

function rounded(value: Value, [precision, method]: Given, { budget }: Runtime): Value {
  const how = method === undefined ? 'common' : textArgument(method, 'method');
  if (!['common', 'ceil', 'floor'].includes(how)) fail('method must be common, ceil or floor');
  const decimals = countArgument(precision, 0);
  if (how !== 'common') return roundedTo(how, value, decimals, budget);
  if (typeof value === 'number') return roundFloat(value, decimals, budget);
  if (value instanceof Undefined) value.raise();
  const integer = integerOf(value) ?? fail(`type ${typeName(value)} doesn't define __round__ method`);
  return roundInteger(integer, decimals, budget);
}

function roundedTo(how: string, value: Value, decimals: number, budget: Budget): Value {
  const unit = calculate('**', 10n, BigInt(decimals), budget);
  const scaled = calculate('*', value, unit, budget);
  const whole =
    typeof scaled === 'number'
      ? truncatedTo(how, scaled)
      : (integerOf(scaled) ?? fail('must be real number'));
  return calculate('/', whole, unit, budget);
}

function truncatedTo(how: string, value: number): bigint {
  const whole = how === 'ceil' ? Math.ceil(value) : Math.floor(value);
  return truncated(whole) ?? fail('cannot convert float NaN to integer');
}

function absolute(value: Value): Value {
  if (value instanceof Undefined) value.raise();
  if (typeof value === 'number') return Math.abs(value);
  const integer = integerOf(value) ?? fail(`bad operand type for abs(): '${typeName(value)}'`);
  return integer < 0n ? -integer : integer;
}

function fileSize(value: Value, [binary]: Given, { budget }: Runtime): string {
  const bytes = floatOf(value) ?? fail('filesizeformat takes a number');
  const inBits = truth(binary ?? false);
  const base = inBits ? 1024 : 1000;
  if (bytes === 1) return '1 Byte';
  if (bytes < base) return `${truncated(bytes) ?? fail('cannot convert float NaN to integer')} Bytes`;
  const prefixes = inBits
    ? ['Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei', 'Zi', 'Yi']
    : ['k', 'M', 'G', 'T', 'P', 'E', 'Z', 'Y'];
  const found = prefixes.findIndex((_, i) => bytes < base ** (i + 2));
  const index = found < 0 ? prefixes.length - 1 : found;
  const size = (base * bytes) / base ** (index + 2);
  return `${Number.isFinite(size) ? fixedDigits(size, 1, budget) : Number.isNaN(size) ? 'nan' : 'inf'} ${prefixes[index]}B`;
}

function defaulted(value: Value, [otherwise, boolean]: Given): Value {
  const absent = value instanceof Undefined || (truth(boolean ?? false) && !truth(value));
  return absent ? (otherwise === undefined ? '' : otherwise) : value;
}

/** The attribute alone: an item of the same name does not stand in for it. */
function attribute(value: Value, [name]: Given, runtime: Runtime): Value {
  const wanted = textArgument(name, 'the name of an attribute');
  if (value instanceof Dict) {
    const plain = attributeOf(new Dict([], runtime.budget), wanted, runtime);
    return plain instanceof Undefined ? plain : attributeOf(value, wanted, runtime);
  }
  return attributeOf(value, wanted, runtime);
}

export const valueFilters: readonly (readonly [string, Filter])[] = [
  ['default', ['default_value? boolean?', defaulted]],
  ['d', ['default_value? boolean?', defaulted]],
  ['attr', ['name', attribute]],
  ['abs', ['', absolute]],
  ['int', ['default? base?', toInteger]],
  [
    'float',
    ['default?', (value, [otherwise]) => floatOf(value) ?? (otherwise === undefined ? 0 : otherwise)],
  ],
  ['round', ['precision? method?', rounded]],
  ['filesizeformat', ['binary?', fileSize]],
];
