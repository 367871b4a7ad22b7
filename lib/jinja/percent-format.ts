import { toFloat } from './arithmetic';
import { fail } from './errors';
import { escapeText } from './escape';
import { floatDigits } from './float-format';
import type { Budget } from './limits';
import { integerText } from './numbers';
import { countArgument } from './parameters';
import { ascii, repr, str } from './text';
import { lengthOf, sliceOf } from './unicode';
import { Dict, integerOf, Range, Tuple, textOf, typeName, Undefined, type Value } from './values';

interface Field {
  readonly flags: string;
  readonly width: number;
  readonly precision: number | null;
  readonly type: string;
}

/** Takes the values that are formatted, in order or by name. */
class Source {
  private next = 0;
  private readonly items: readonly Value[];
  private named = false;

  constructor(
    private readonly value: Value,
    private readonly budget: Budget,
  ) {
    this.items = value instanceof Tuple ? value.items : [value];
  }

  take(): Value {
    return this.items[this.next++] ?? this.missing();
  }

  private missing(): Value {
    return this.next <= this.items.length ? null : fail('not enough arguments for format string');
  }

  byName(name: string): Value {
    this.named = true;
    if (!(this.value instanceof Dict)) return fail('format requires a mapping');
    return (
      this.value.get(name, this.budget) ??
      (this.value.keys().includes(name) ? null : fail(`there is no key '${name}'`))
    );
  }

  finish(): void {
    const { value } = this;
    const isMapping = [Dict, Range, Undefined].some((kind) => value instanceof kind) || Array.isArray(value);
    if (this.next < this.items.length && !this.named && !isMapping) {
      fail('not all arguments converted during string formatting');
    }
  }
}

const pattern = /([^%]*)(?:%(?:\(([^()]*)\))?([-+ #0]*)(\*|\d*)(?:\.(\*|\d*))?[hlL]?(.?))?/sy;

/** `format % value` */
export function formatPercent(format: string, value: Value, budget: Budget, escapes: boolean): string {
  const source = new Source(value, budget);
  const parts: string[] = [];
  let length = 0;
  pattern.lastIndex = 0;
  let position = 0;
  while (position < format.length) {
    budget.spend(1);
    pattern.lastIndex = position;
    const [whole = '', text = '', name, flags = '', width = '', precision, type] = pattern.exec(format) ?? [];
    position += whole.length;
    const field =
      type === undefined ? '' : one(source, name, { flags, width, precision, type }, budget, escapes);
    length += text.length + field.length;
    if (length > budget.limits.textLength) budget.spendText(length);
    parts.push(text, field);
  }
  source.finish();
  budget.spendText(length);
  return parts.join('');
}

interface Written {
  readonly flags: string;
  readonly width: string;
  readonly precision: string | undefined;
  readonly type: string;
}

function one(
  source: Source,
  name: string | undefined,
  written: Written,
  budget: Budget,
  escapes: boolean,
): string {
  const { type } = written;
  if (type === '') fail('incomplete format');
  if (
    type === '%' &&
    name === undefined &&
    written.flags + written.width === '' &&
    written.precision === undefined
  ) {
    return '%';
  }
  const named = name === undefined ? undefined : source.byName(name);
  const starWidth = written.width === '*' ? countArgument(source.take(), 0) : Number(written.width || 0);
  const precision =
    written.precision === undefined
      ? null
      : written.precision === '*'
        ? Math.max(0, countArgument(source.take(), 0))
        : Number(written.precision || 0);
  const field: Field = {
    flags: starWidth < 0 ? `${written.flags}-` : written.flags,
    width: Math.abs(starWidth),
    precision,
    type,
  };
  const value = named === undefined ? source.take() : named;
  return padded(converted(field, value, budget, escapes), field, budget);
}

/** Sign (or prefix) and digits, or text without a sign. */
type Parts = readonly [sign: string, body: string];

function converted(field: Field, value: Value, budget: Budget, escapes: boolean): Parts {
  const { type, precision } = field;
  if (/[sra]/.test(type)) {
    const plain =
      type === 's' ? str(value, budget) : type === 'r' ? repr(value, budget) : ascii(value, budget);
    const text = escapes ? escapeText(type === 's' ? value : plain, budget) : plain;
    return ['', precision === null ? text : sliceOf(text, 0, precision)];
  }
  if (type === 'c') return ['', character(value)];
  if (/[diuoxX]/.test(type)) return integer(field, value, budget);
  if (!/[eEfFgG]/.test(type)) fail(`unsupported format character '${type}'`);
  if (value instanceof Undefined) value.raise();
  const number = typeof value === 'number' ? value : integerOf(value);
  if (number === undefined) return fail(`must be real number, not ${typeName(value)}`);
  const float = toFloat(number);
  const style = { type, precision, alternate: field.flags.includes('#') };
  return [signOf(field, float < 0 || Object.is(float, -0)), floatDigits(float, style, budget)];
}

function signOf({ flags }: Field, negative: boolean): string {
  if (negative) return '-';
  return flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
}

function integer(field: Field, value: Value, budget: Budget): Parts {
  const { type, precision, flags } = field;
  const decimal = /[diu]/.test(type);
  if (value instanceof Undefined) value.raise();
  let number = integerOf(value);
  if (number === undefined && decimal && typeof value === 'number') {
    if (!Number.isFinite(value)) fail('cannot convert infinity or NaN to an integer');
    number = BigInt(Math.trunc(value));
  }
  if (number === undefined) return fail(`%${type} format: a number is required, not ${typeName(value)}`);
  const size = number < 0n ? -number : number;
  const digits = decimal ? integerText(size) : size.toString(type === 'o' ? 8 : 16);
  const places = precision ?? 0;
  budget.spendText(Math.max(digits.length, places));
  const prefix = flags.includes('#') && !decimal ? `0${type}` : '';
  const body = digits.padStart(places, '0');
  return [signOf(field, number < 0n) + prefix, type === 'X' ? body.toUpperCase() : body];
}

/** What `%c` makes of a code point or of one character. */
export function character(value: Value): string {
  const text = textOf(value);
  if (text !== undefined && lengthOf(text) === 1) return text;
  const code = integerOf(value);
  if (code === undefined) return fail('%c requires int or char');
  if (code < 0n || code > 0x10ffffn) return fail('%c arg not in range(0x110000)');
  return String.fromCodePoint(Number(code));
}

function padded([sign, body]: Parts, { flags, width, type }: Field, budget: Budget): string {
  const pad = width - lengthOf(body) - sign.length;
  if (pad <= 0) return sign + body;
  budget.spendText(width);
  if (flags.includes('-')) return sign + body + ' '.repeat(pad);
  const zeros = flags.includes('0') && /[diuoxXeEfFgG]/.test(type);
  return zeros ? sign + '0'.repeat(pad) + body : ' '.repeat(pad) + sign + body;
}
