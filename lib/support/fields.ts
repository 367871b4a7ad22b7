import { RND1Error } from './errors';
import { printableJson } from './printable';

/** Token ids and counts end up in 32-bit integers. */
const INTEGER_LIMIT = 2 ** 31 - 1;
/** Tokens of a list: each step tests each position for them. Published models have up to ten. */
const LIST_LIMIT = 1000;
/** Limit of sizes, far above any model; products stay exact. */
const SIZE_LIMIT = 2 ** 24;

/** Typed access to the values of one JSON file; errors name the file, the key and the value. */
export class Fields {
  constructor(
    readonly path: string,
    private readonly values: Readonly<Record<string, unknown>>,
  ) {}

  /** Whether the key exists, even as null. */
  has(key: string): boolean {
    return Object.hasOwn(this.values, key);
  }

  /** The value of a key; undefined when it is absent or null. */
  get(key: string): unknown {
    return Object.hasOwn(this.values, key) ? (this.values[key] ?? undefined) : undefined;
  }

  /** An `invalid_checkpoint` about one key. */
  invalid(key: string, expected: string): RND1Error {
    const value = this.get(key);
    const problem =
      value === undefined ? `${key} is missing` : `${key} must be ${expected}, not ${show(value)}`;
    return new RND1Error('invalid_checkpoint', `${this.path}: ${problem}`);
  }

  /** An `unsupported_model` about one key. */
  unsupported(key: string, supported: string): RND1Error {
    return new RND1Error(
      'unsupported_model',
      `${this.path}: ${key} ${show(this.get(key))} is not supported (only ${supported})`,
    );
  }

  /** An `invalid_checkpoint` about keys that contradict each other. */
  contradiction(problem: string): RND1Error {
    return new RND1Error('invalid_checkpoint', `${this.path}: ${problem}`);
  }

  /** A required size of the model, or an optional one if `fallback` is given. */
  size(key: string, fallback?: number): number {
    const value = this.get(key) ?? fallback;
    if (isInteger(value) && value > 0 && value <= SIZE_LIMIT) return value;
    throw this.invalid(key, 'a positive integer up to 2^24');
  }

  /** A size that may be 0, which is also what it is when absent. */
  count(key: string): number {
    const value = this.get(key);
    if (isInteger(value) && value >= 0 && value <= SIZE_LIMIT) return value;
    throw this.invalid(key, 'an integer from 0 to 2^24');
  }

  /** A required number above 0. */
  positiveNumber(key: string): number {
    const value = this.get(key);
    if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
    throw this.invalid(key, 'a number above 0');
  }

  /** A required boolean, or an optional one if `fallback` is given. */
  boolean(key: string, fallback?: boolean): boolean {
    const value = this.get(key) ?? fallback;
    if (typeof value === 'boolean') return value;
    throw this.invalid(key, 'true or false');
  }

  /** A count; undefined when it is absent. */
  optionalPositiveInteger(key: string): number | undefined {
    const value = this.get(key);
    if (value === undefined || (isInteger(value) && value > 0)) return value;
    throw this.invalid(key, 'a positive integer below 2^31');
  }

  /** A string; undefined when it is absent. */
  optionalString(key: string): string | undefined {
    const value = this.get(key);
    if (value === undefined || typeof value === 'string') return value;
    throw this.invalid(key, 'a string');
  }

  /** A token id below `vocabulary`; undefined when it is absent. */
  optionalToken(key: string, vocabulary: number): number | undefined {
    const value = this.get(key);
    if (value === undefined || isToken(value, vocabulary)) return value;
    throw this.invalid(key, `a token id below vocab_size ${vocabulary}`);
  }

  /** One token id or a list of them, without repetitions; undefined when absent. */
  optionalTokens(key: string, vocabulary: number): readonly number[] | undefined {
    const value = this.get(key);
    if (value === undefined) return undefined;
    const ids: unknown[] = Array.isArray(value) ? value : [value];
    if (ids.length <= LIST_LIMIT && ids.every((id): id is number => isToken(id, vocabulary))) {
      return [...new Set(ids)];
    }
    throw this.invalid(key, `a token id below vocab_size ${vocabulary}, or a list of up to ${LIST_LIMIT}`);
  }
}

/** Whether a setting is off: absent, null, false, 0 or empty. */
export function isOff(value: unknown): boolean {
  return (
    value === undefined || value === false || value === 0 || (Array.isArray(value) && value.length === 0)
  );
}

/** A value from a file, cut to a readable length. */
function show(value: unknown): string {
  // JSON cannot write NaN and infinity.
  const text =
    typeof value === 'number' ? String(value) : printableJson(JSON.stringify(value) ?? 'undefined');
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

function isInteger(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) <= INTEGER_LIMIT;
}

function isToken(value: unknown, vocabulary: number): value is number {
  return isInteger(value) && value >= 0 && value < vocabulary;
}
