import { types } from 'node:util';
import type { TextFrame, TextResult, TokenFrame, TokenResult } from './types';

/** JSON has no NaN and no infinity. */
const finite = (values: Float32Array) =>
  Array.from(values, (value) => (Number.isFinite(value) ? value : null));

/**
 * Adds a `toJSON` method, which JSON.stringify calls, to the object. It is not enumerable: copies made by spreading or
 * structuredClone do not have it.
 */
export function withJSON<T extends object>(value: T, convert: (value: T) => unknown = plain): T {
  const toJSON = () => convert(value);
  // No prototype, so that properties added to Object.prototype are not part of the descriptor.
  const descriptor = {
    __proto__: null,
    value: toJSON,
    configurable: true,
    writable: true,
    enumerable: false,
  };
  return Object.defineProperty(value, 'toJSON', descriptor as PropertyDescriptor);
}

/** Converts typed arrays to arrays, maps to objects and bigints to strings, at any depth. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'object' || value === null) return value;
  if (types.isTypedArray(value)) return Array.from(value as ArrayLike<number>);
  if (Array.isArray(value)) return value.map(plain);
  const entries = (types.isMap(value) ? value.entries() : Object.entries(value)) as Iterable<
    [string, unknown]
  >;
  return Object.fromEntries(Array.from(entries, ([key, entry]) => [key, plain(entry)]));
}

/**
 * Converts a frame or a result to plain JSON data: arrays instead of typed arrays, null for positions that were not
 * scored, and the seed as a string, because it may have 64 bits (`BigInt(seed)` restores it). JSON.stringify does the
 * same for objects returned by a model; copies of them need this function.
 */
export function toJSON(value: TokenFrame | TextFrame | TokenResult | TextResult): Record<string, unknown> {
  return 'predicted' in value ? frameJSON(value) : resultJSON(value);
}

function frameJSON(frame: TokenFrame | TextFrame): Record<string, unknown> {
  const { step, steps, forwards, tokens, masked, committed, edited, predicted, confidence, entropy } = frame;
  return {
    step,
    steps,
    forwards,
    tokens: [...tokens],
    masked: [...masked],
    committed: [...committed],
    edited: [...edited],
    predicted: Array.from(predicted, (id) => (id < 0 ? null : id)),
    confidence: finite(confidence),
    entropy: finite(entropy),
    ...('text' in frame ? { text: frame.text, written: frame.written } : {}),
  };
}

function resultJSON(result: TokenResult | TextResult): Record<string, unknown> {
  const { tokens, positions, seed, steps, forwards, finishReason } = result;
  return {
    ...('text' in result ? { text: result.text, written: result.written } : {}),
    tokens: [...tokens],
    positions: [...positions],
    seed: String(seed),
    steps,
    forwards,
    finishReason,
  };
}
