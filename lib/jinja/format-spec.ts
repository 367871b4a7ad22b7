import { toFloat } from './arithmetic';
import { fail } from './errors';
import { floatDigits } from './float-format';
import type { Budget } from './limits';
import { integerText } from './numbers';
import { character } from './percent-format';
import { str } from './text';
import { lengthOf, sliceOf } from './unicode';
import { integerOf, textOf, typeName, type Value } from './values';

/** What stands behind the colon of a replacement field. */
interface Spec {
  readonly fill: string;
  readonly align: string;
  readonly sign: string;
  readonly positiveZero: boolean;
  readonly alternate: boolean;
  readonly zeros: boolean;
  readonly width: number;
  readonly grouping: string;
  readonly precision: number | null;
  readonly type: string;
}

const pattern = /^(?:(.)?([<>=^]))?([-+ ]?)(z?)(#?)(0?)(\d*)([,_]?)(?:\.(\d+))?([bcdeEfFgGnosxX%]?)$/su;

/** `format(value, spec)` */
export function formatValue(value: Value, spec: string, budget: Budget): string {
  if (spec === '') return str(value, budget);
  const text = textOf(value);
  const number = typeof value === 'number' ? value : integerOf(value);
  if (text === undefined && number === undefined) {
    return fail(`unsupported format string passed to ${typeName(value)}.__format__`);
  }
  const parsed = parseSpec(spec, typeName(value));
  if (text !== undefined) return formatText(text, parsed, budget);
  return formatNumber(number as number | bigint, parsed, budget);
}

function parseSpec(spec: string, type: string): Spec {
  const found = pattern.exec(spec) ?? fail(`Invalid format specifier '${spec}' for object of type '${type}'`);
  const [, fill, align, sign, z, alternate, zero, width, grouping, precision, kind] = found as (
    | string
    | undefined
  )[];
  return {
    fill: fill ?? (zero === '' ? ' ' : '0'),
    align: align ?? '',
    sign: sign ?? '',
    positiveZero: z !== '',
    alternate: alternate !== '',
    zeros: zero !== '',
    width: Number(width || 0),
    grouping: grouping ?? '',
    precision: precision === undefined ? null : Number(precision),
    type: kind ?? '',
  };
}

function formatText(text: string, spec: Spec, budget: Budget): string {
  if (!/^s?$/.test(spec.type)) fail(`Unknown format code '${spec.type}' for object of type 'str'`);
  const { sign, align, alternate, grouping, precision, positiveZero } = spec;
  if (sign !== '' || align === '=' || alternate || grouping !== '' || positiveZero) {
    fail('this format specifier is not allowed for strings');
  }
  const cut = precision === null ? text : sliceOf(text, 0, precision);
  return aligned('', cut, align || '<', spec, budget);
}

function formatNumber(value: number | bigint, spec: Spec, budget: Budget): string {
  if (spec.type === 'n' && spec.grouping !== '') fail(`Cannot specify '${spec.grouping}' with 'n'.`);
  const asFloat = typeof value === 'number' || /[eEfFgG%]/.test(spec.type);
  if (typeof value === 'number' && /[bcdoxXs]/.test(spec.type)) {
    fail(`Unknown format code '${spec.type}' for object of type 'float'`);
  }
  if (spec.type === 's') fail("Unknown format code 's' for object of type 'int'");
  if (asFloat) return formatFloat(toFloat(value), spec, budget);
  return formatInteger(value as bigint, spec, budget);
}

function formatFloat(value: number, spec: Spec, budget: Budget): string {
  const { type, precision, alternate } = spec;
  const scaled = type === '%' ? value * 100 : value;
  const style = { type: type === '%' ? 'f' : type === 'n' ? 'g' : type, precision, alternate };
  const digits = floatDigits(scaled, style, budget);
  const zero = spec.positiveZero && /^[0.]*$/.test(digits);
  const negative = (value < 0 || Object.is(value, -0)) && !zero;
  const [, whole = '', rest = ''] = /^(\d*)(.*)$/s.exec(digits) ?? [];
  return numberText(negative, '', whole, rest + (type === '%' ? '%' : ''), 3, spec, budget);
}

const radixes: Readonly<Record<string, number>> = { b: 2, o: 8, x: 16, X: 16 };

function formatInteger(value: bigint, spec: Spec, budget: Budget): string {
  const { type, precision, alternate, grouping, sign } = spec;
  if (precision !== null) fail('Precision not allowed in integer format specifier');
  if (spec.positiveZero) fail('Negative zero coercion (z) not allowed in format specifier with integer');
  if (type === 'c') {
    if (sign !== '' || alternate || grouping !== '') fail("not allowed with integer format specifier 'c'");
    return aligned('', character(value), spec.align || '>', spec, budget);
  }
  const radix = radixes[type] ?? 10;
  if (radix !== 10 && grouping === ',') fail(`Cannot specify ',' with '${type}'.`);
  const size = value < 0n ? -value : value;
  const digits = radix === 10 ? integerText(size) : size.toString(radix);
  const prefix = alternate && radix !== 10 ? `0${type}` : '';
  const shown = type === 'X' ? digits.toUpperCase() : digits;
  return numberText(value < 0n, prefix, shown, '', radix === 10 ? 3 : 4, spec, budget);
}

function numberText(
  negative: boolean,
  prefix: string,
  whole: string,
  rest: string,
  groupSize: number,
  spec: Spec,
  budget: Budget,
): string {
  const sign = (negative ? '-' : spec.sign === '-' ? '' : spec.sign) + prefix;
  const align = spec.align || (spec.zeros ? '=' : '>');
  budget.spendText(spec.width + whole.length * 2 + rest.length);
  if (spec.grouping === '' || whole === '') return aligned(sign, whole + rest, align, spec, budget);
  // Zeros that fill a field are grouped like the digits.
  const least = align === '=' && spec.fill === '0' ? spec.width - sign.length - rest.length : 0;
  let count = whole.length;
  while (count + Math.floor((count - 1) / groupSize) < least) count++;
  const digits = whole.padStart(count, '0');
  const groups: string[] = [];
  for (let end = count; end > 0; end -= groupSize)
    groups.push(digits.slice(Math.max(0, end - groupSize), end));
  return aligned(sign, groups.reverse().join(spec.grouping) + rest, align, spec, budget);
}

function aligned(sign: string, body: string, align: string, { width, fill }: Spec, budget: Budget): string {
  const pad = width - lengthOf(body) - sign.length;
  if (pad <= 0) return sign + body;
  budget.spendText(width * fill.length);
  const before = align === '<' ? 0 : align === '^' ? Math.floor(pad / 2) : pad;
  if (align === '=') return sign + fill.repeat(pad) + body;
  return fill.repeat(before) + sign + body + fill.repeat(pad - before);
}
