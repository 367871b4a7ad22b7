import { fail } from './errors';
import { integerOf, textOf, typeName, type Value } from './values';

/** A string that is asked for by name. */
export function textArgument(value: Value | undefined, what: string): string {
  if (value === undefined) return fail(`${what} is missing`);
  return textOf(value) ?? fail(`${what} must be str, not ${typeName(value)}`);
}

/**
 * A width, a count or an index. Integers beyond what a number holds exactly become the largest one: nothing has that many
 * elements.
 */
export function countArgument(value: Value | undefined, otherwise: number): number {
  if (value === undefined) return otherwise;
  const integer = integerOf(value) ?? fail(`'${typeName(value)}' object cannot be interpreted as an integer`);
  const most = BigInt(Number.MAX_SAFE_INTEGER);
  return Number(integer > most ? most : integer < -most ? -most : integer);
}

/** `value[start:stop]` of `length` elements: both between 0 and the length. */
export function spanOf(
  length: number,
  start: Value | undefined,
  stop: Value | undefined,
): readonly [start: number, stop: number] {
  const clamp = (value: Value | undefined, otherwise: number) => {
    const index = value === null ? otherwise : countArgument(value, otherwise);
    return Math.max(0, Math.min(length, index < 0 ? index + length : index));
  };
  return [clamp(start, 0), clamp(stop, length)];
}
