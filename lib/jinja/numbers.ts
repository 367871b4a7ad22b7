import { fail } from './errors';
import type { Budget } from './limits';

/** Digits of the longest integer that Python turns into text. */
const maxDigits = 4300;

export function integerText(value: bigint): string {
  const text = value.toString();
  if (text.length > maxDigits + 1) fail(`an integer has more than ${maxDigits} digits`);
  return text;
}

/** `repr(float)`: the shortest digits that mean this number. */
export function floatText(value: number): string {
  if (!Number.isFinite(value)) return specialText(value);
  const [mantissa = '', exponent = ''] = value.toExponential().split('e');
  const power = Number(exponent);
  if (power < -4 || power >= 16) return `${signed(value)}${mantissa.replace('-', '')}e${exponentText(power)}`;
  const fixed = Math.abs(value).toFixed(Math.max(0, mantissa.replace(/^-|\./g, '').length - 1 - power));
  return `${signed(value)}${fixed.includes('.') ? fixed : `${fixed}.0`}`;
}

export function specialText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  return value < 0 ? '-inf' : 'inf';
}

function signed(value: number): string {
  return value < 0 || Object.is(value, -0) ? '-' : '';
}

export function exponentText(power: number): string {
  return `${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
}

/** A finite number as `numerator / 2 ** shift` or, for negative shifts, `numerator * 2 ** -shift`. */
function exactFraction(value: number): { numerator: bigint; shift: number } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, Math.abs(value));
  const bits = view.getBigUint64(0);
  const exponent = Number(bits >> 52n);
  const fraction = bits & 0xfffffffffffffn;
  return exponent === 0
    ? { numerator: fraction, shift: 1074 }
    : { numerator: fraction | 0x10000000000000n, shift: 1075 - exponent };
}

/** |value| · 10 ** decimals, rounded half to even from the exact value. */
function scaled(value: number, decimals: number): bigint {
  const { numerator, shift } = exactFraction(value);
  let above = decimals > 0 ? numerator * 10n ** BigInt(decimals) : numerator;
  let below = decimals < 0 ? 10n ** BigInt(-decimals) : 1n;
  if (shift > 0) below <<= BigInt(shift);
  else above <<= BigInt(-shift);
  const whole = above / below;
  const twice = (above % below) * 2n;
  const up = twice > below || (twice === below && whole % 2n === 1n);
  return up ? whole + 1n : whole;
}

/** `'%.{decimals}f' % abs(value)` */
export function fixedDigits(value: number, decimals: number, budget: Budget): string {
  budget.spendBits(1100 + decimals * 4);
  const digits = scaled(value, decimals)
    .toString()
    .padStart(decimals + 1, '0');
  return decimals === 0 ? digits : `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}

/** The first `count` digits of |value| and the power of ten of the first one, rounded half to even. */
export function leadingDigits(
  value: number,
  count: number,
  budget: Budget,
): { digits: string; power: number } {
  budget.spendBits(1100 + count * 4);
  if (value === 0) return { digits: '0'.repeat(count), power: 0 };
  let power = Number(value.toExponential().split('e')[1]);
  let digits = scaled(value, count - 1 - power).toString();
  if (digits.length > count) {
    // Rounded up to the next power of ten.
    power++;
    digits = digits.slice(0, count);
  }
  return { digits, power };
}

/** `round(value, decimals)` of a float. */
export function roundFloat(value: number, decimals: number, budget: Budget): number {
  if (!Number.isFinite(value) || decimals > 323) return value;
  if (decimals < -308) return value < 0 ? -0 : 0;
  const sign = signed(value);
  if (decimals >= 0) return Number(`${sign}${fixedDigits(value, decimals, budget)}`);
  return Number(`${sign}${scaled(value, decimals)}e${-decimals}`);
}

/** `round(value, decimals)` of an integer, for negative decimals. */
export function roundInteger(value: bigint, decimals: number, budget: Budget): bigint {
  if (decimals >= 0) return value;
  budget.spendBits(-decimals * 4);
  const unit = 10n ** BigInt(-decimals);
  const quotient = floorDivide(value, unit);
  const rest = (value - quotient * unit) * 2n;
  const up = rest > unit || (rest === unit && quotient % 2n !== 0n);
  return (up ? quotient + 1n : quotient) * unit;
}

export function floorDivide(a: bigint, b: bigint): bigint {
  const quotient = a / b;
  return a % b !== 0n && a < 0n !== b < 0n ? quotient - 1n : quotient;
}

/** The remainder with the sign of the divisor. */
export function floorModulo(a: bigint, b: bigint): bigint {
  return a - floorDivide(a, b) * b;
}

export function floatModulo(a: number, b: number): number {
  const rest = a % b;
  if (rest === 0) return b < 0 ? -0 : 0;
  return rest < 0 !== b < 0 ? rest + b : rest;
}

export function floatFloorDivide(a: number, b: number): number {
  const quotient = (a - floatModulo(a, b)) / b;
  return Number.isFinite(quotient) ? Math.round(quotient) : quotient;
}

export function bitLength(value: bigint): number {
  return (value < 0n ? -value : value).toString(16).length * 4;
}

/** `int(text, base)`, undefined where Python raises ValueError. */
export function parseInteger(text: string, base: number): bigint | undefined {
  const [, sign, body = ''] = /^([-+]?)(.*)$/s.exec(text) ?? [];
  const prefix = /^0([box])_?/i.exec(body);
  const prefixBase = { b: 2, o: 8, x: 16 }[prefix?.[1]?.toLowerCase() ?? ''];
  const hasPrefix = prefixBase !== undefined && (base === 0 || base === prefixBase);
  const radix = base === 0 ? (prefixBase ?? 10) : base;
  const digits = hasPrefix ? body.slice((prefix as RegExpExecArray)[0].length) : body;
  if (!/^[\p{Nd}a-z]+(?:_[\p{Nd}a-z]+)*$/iu.test(digits) || digits.length > maxDigits) return undefined;
  if (base === 0 && !hasPrefix && /^0[0_]*[1-9]/.test(digits)) return undefined;
  let value = 0n;
  for (const character of digits.replaceAll('_', '')) {
    const digit = Number.parseInt(/\p{Nd}/u.test(character) ? decimalDigit(character) : character, 36);
    if (!(digit < radix)) return undefined;
    value = value * BigInt(radix) + BigInt(digit);
  }
  return sign === '-' ? -value : value;
}

/** A decimal digit of any script as one of ours. */
function decimalDigit(character: string): string {
  const code = character.codePointAt(0) as number;
  if (code < 0x80) return character;
  // Digits of a script stand beside each other, from zero; some sets of mathematical digits follow each other directly.
  let zero = code;
  while (code - zero < 9 && /\p{Nd}/u.test(String.fromCodePoint(zero - 1))) zero--;
  return code >= 0x1d7ce && code <= 0x1d7ff ? String((code - 0x1d7ce) % 10) : String(code - zero);
}

/** `float(text)`, undefined where Python raises ValueError. */
export function parseFloatText(text: string): number | undefined {
  const special = /^([-+]?)(inf|infinity|nan)$/i.exec(text);
  if (special !== null) {
    if (special[2]?.toLowerCase() === 'nan') return Number.NaN;
    return special[1] === '-' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  const digits = String.raw`\d+(?:_\d+)*`;
  const pattern = new RegExp(
    `^[-+]?(?:${digits}(?:\\.(?:${digits})?)?|\\.${digits})(?:e[-+]?${digits})?$`,
    'i',
  );
  return pattern.test(text) ? Number(text.replaceAll('_', '')) : undefined;
}
