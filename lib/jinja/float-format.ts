import { fail } from './errors';
import type { Budget } from './limits';
import { exponentText, fixedDigits, floatText, leadingDigits, specialText } from './numbers';

export interface FloatStyle {
  /** `e`, `f`, `g`, their capitals, or empty: `g` that keeps a float recognisable. */
  readonly type: string;
  /** Null: what the type takes by default. */
  readonly precision: number | null;
  /** Keep the point and zeros behind it. */
  readonly alternate: boolean;
}

/** Digits that may stand behind a point. */
const maxPrecision = 10_000;

/** |value| in digits. */
export function floatDigits(
  value: number,
  { type, precision, alternate }: FloatStyle,
  budget: Budget,
): string {
  const places = precision ?? 6;
  if (places > maxPrecision) fail(`the precision ${places} is too large`);
  const text = digitsOf(Math.abs(value), type.toLowerCase(), precision, places, alternate, budget);
  return type !== '' && type === type.toUpperCase() ? text.toUpperCase() : text;
}

function digitsOf(
  value: number,
  type: string,
  precision: number | null,
  places: number,
  alternate: boolean,
  budget: Budget,
): string {
  if (!Number.isFinite(value)) return specialText(value);
  const point = alternate && places === 0 ? '.' : '';
  if (type === 'f') return fixedDigits(value, places, budget) + point;
  if (type === 'e') {
    const { digits, power } = leadingDigits(value, places + 1, budget);
    return scientific(digits, power, point);
  }
  if (type === '' && precision === null) return floatText(value);
  return general(value, Math.max(1, places), type === '', alternate, budget);
}

function scientific(digits: string, power: number, point: string): string {
  const fraction = digits.length > 1 ? `.${digits.slice(1)}` : point;
  return `${digits[0]}${fraction}e${exponentText(power)}`;
}

function general(
  value: number,
  places: number,
  asFloat: boolean,
  alternate: boolean,
  budget: Budget,
): string {
  const { digits, power } = leadingDigits(value, places, budget);
  const kept = alternate ? digits : digits.replace(/0+$/, '') || '0';
  if (power < -4 || power >= places - (asFloat ? 1 : 0)) {
    return scientific(kept, power, alternate && places === 1 ? '.' : '');
  }
  if (power < 0) return `0.${'0'.repeat(-power - 1)}${kept}`;
  const whole = kept.slice(0, power + 1).padEnd(power + 1, '0');
  const fraction = kept.slice(power + 1);
  if (fraction !== '') return `${whole}.${fraction}`;
  return asFloat ? `${whole}.0` : alternate ? `${whole}.` : whole;
}
