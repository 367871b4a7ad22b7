import { setMaxListeners } from 'node:events';
import { inspect, types } from 'node:util';
import type { TokenIds } from '../api/types';
import { printableName } from './printable';

/** Formats a value for an error message: short, one line. */
export function quote(value: unknown): string {
  const text = inspect(value, { depth: 1, maxArrayLength: 8, maxStringLength: 80, breakLength: Infinity });
  return printableName(text.length > 120 ? `${text.slice(0, 119)}…` : text);
}

/**
 * Checks an options object and returns it; undefined means all defaults. Any name that is not in `names` is an error,
 * because a misspelt option would otherwise be ignored silently.
 */
export function optionsObject<T extends object>(
  name: string,
  value: T | undefined,
  names: Readonly<Record<keyof T, true>>,
): T {
  if (value === undefined) return {} as T;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TypeError(`${name} must be an object, not ${quote(value)}`);
  }
  for (const key of Object.keys(value)) {
    if (Object.hasOwn(names, key) || value[key as keyof T] === undefined) continue;
    const meant = nearest(key, Object.keys(names));
    throw new TypeError(
      `${name} has no ${quote(key)}${meant === null ? '' : `; did you mean ${quote(meant)}?`}`,
    );
  }
  return value;
}

/** The word nearest to `word`, if at most a third of its letters differ (ignoring case, `_` and `-`), else null. */
export function nearest(word: string, words: readonly string[]): string | null {
  const plain = (text: string) => text.replaceAll(/[_-]/g, '').toLowerCase().slice(0, 40);
  const distances = words.map((other) => editDistance(plain(word), plain(other)));
  const best = Math.min(...distances);
  const found = words[distances.indexOf(best)];
  return found !== undefined && best <= found.length / 3 ? found : null;
}

/** Number of letters to insert, delete or replace (Levenshtein). */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(replaced, (previous[j] as number) + 1, (row[j - 1] as number) + 1));
    }
    previous = row;
  }
  return previous[b.length] as number;
}

/** A finite number from `min` to `max`. */
export function numberOption(name: string, value: unknown, min = -Infinity, max = Infinity): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number, not ${quote(value)}`);
  if (!Number.isFinite(value) || value < min || value > max) {
    throw new RangeError(`${name} must be ${interval('a finite number', min, max)}, not ${quote(value)}`);
  }
  return value;
}

/** An integer from `min` to `max`. */
export function integerOption(
  name: string,
  value: unknown,
  min: number,
  max = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be an integer, not ${quote(value)}`);
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    const bound = max === Number.MAX_SAFE_INTEGER ? Infinity : max;
    throw new RangeError(`${name} must be ${interval('an integer', min, bound)}, not ${quote(value)}`);
  }
  return value;
}

export function booleanOption(name: string, value: unknown, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value !== 'boolean') throw new TypeError(`${name} must be true or false, not ${quote(value)}`);
  return value;
}

export function stringOption(name: string, value: unknown): string {
  if (typeof value !== 'string') throw new TypeError(`${name} must be a string, not ${quote(value)}`);
  return value;
}

/** One of a few words. */
export function wordOption<T extends string>(name: string, value: unknown, words: readonly T[]): T {
  if (words.includes(value as T)) return value as T;
  const list = words.map((word) => `'${word}'`).join(', ');
  throw new TypeError(`${name} must be one of ${list}, not ${quote(value)}`);
}

export function callbackOption(name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') {
    throw new TypeError(`${name} must be a function, not ${quote(value)}`);
  }
}

export function signalOption(value: unknown): AbortSignal | undefined {
  if (value === undefined) return undefined;
  const signal = value as Partial<AbortSignal> | null;
  const methods = ['addEventListener', 'removeEventListener', 'throwIfAborted'] as const;
  if (typeof signal?.aborted !== 'boolean' || methods.some((name) => typeof signal[name] !== 'function')) {
    throw new TypeError(`signal must be an AbortSignal, not ${quote(value)}`);
  }
  // A thousand calls may share one signal, which Node.js would report as a leak.
  if (signal instanceof EventTarget) setMaxListeners(0, signal);
  return signal as AbortSignal;
}

/** Integers from 0 to `limit` − 1, copied so that later changes by the caller have no effect. */
export function integerList(name: string, value: unknown, limit: number, what: string): Int32Array {
  if (!Array.isArray(value) && !types.isTypedArray(value)) {
    throw new TypeError(`${name} must be an Int32Array or an array of integers, not ${quote(value)}`);
  }
  if (types.isTypedArray(value) && isDetached(value)) {
    throw new TypeError(`${name} is ${quote(value)}: its memory was transferred to somewhere else`);
  }
  const list = value as ArrayLike<unknown>;
  const copy = new Int32Array(list.length);
  for (let i = 0; i < list.length; i++) {
    const element = list[i];
    if (typeof element !== 'number') {
      throw new TypeError(`${name}[${i}] must be an integer, not ${quote(element)}`);
    }
    if (!Number.isInteger(element) || element < 0 || element >= limit) {
      throw new RangeError(
        `${name}[${i}] is ${quote(element)}, but ${what} are the integers from 0 to ${limit - 1}`,
      );
    }
    copy[i] = element;
  }
  return copy;
}

/** Token ids below `vocabulary`, copied. */
export function tokenList(name: string, value: TokenIds, vocabulary: number): Int32Array {
  return integerList(name, value, vocabulary, 'token ids');
}

/** Token ids that are never predicted, copied; at least one other token must remain. */
export function bannedList(value: TokenIds | undefined, vocabulary: number): Int32Array {
  const banned = tokenList('banned', value ?? [], vocabulary);
  if (banned.length >= vocabulary && new Set(banned).size === vocabulary) {
    throw new RangeError(`banned holds all ${vocabulary} tokens: none is left to predict`);
  }
  return banned;
}

/** Positions below `length`, copied and sorted; one that is named twice is an error. */
export function positionList(name: string, value: TokenIds, length: number): Int32Array {
  const positions = integerList(name, value, length, `the positions of ${length} tokens`).sort();
  for (let i = 1; i < positions.length; i++) {
    if (positions[i] === positions[i - 1])
      throw new RangeError(`${name} holds position ${positions[i]} twice`);
  }
  return positions;
}

/** Whether the buffer is detached: the array then reads as empty, which the caller did not mean. */
function isDetached(array: NodeJS.TypedArray): boolean {
  if (array.length > 0) return false;
  try {
    // Node.js 20 has no `ArrayBuffer.prototype.detached`, but a view of a detached buffer throws.
    new Uint8Array(array.buffer);
    return false;
  } catch {
    return true;
  }
}

function interval(kind: string, min: number, max: number): string {
  if (min === -Infinity) return max === Infinity ? kind : `${kind} up to ${max}`;
  return max === Infinity ? `${kind}, at least ${min}` : `${kind} from ${min} to ${max}`;
}
