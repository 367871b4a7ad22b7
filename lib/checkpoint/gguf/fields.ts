import { RND1Error } from '../../support/errors';
import { printableJson } from '../../support/printable';
import { quote } from '../format';
import type { GgufHeader } from './header';
import type { MetadataValue } from './metadata';

/** Typed access to the metadata of a GGUF file; errors name the file, the key and the value. */
export class GgufFields {
  constructor(
    readonly path: string,
    private readonly metadata: GgufHeader['metadata'],
  ) {}

  get(key: string): MetadataValue | undefined {
    return this.metadata.get(key);
  }

  /** A number that must be given, or the fallback. */
  number(key: string, fallback?: number): number {
    const value = this.metadata.get(key) ?? fallback;
    if (typeof value === 'number') return value;
    throw this.invalid(key, 'a number');
  }

  optionalNumber(key: string): number | undefined {
    return this.metadata.has(key) ? this.number(key) : undefined;
  }

  optionalString(key: string): string | undefined {
    const value = this.metadata.get(key);
    if (value === undefined || typeof value === 'string') return value;
    throw this.invalid(key, 'a text');
  }

  /** A list of texts; undefined if there is none. */
  optionalStrings(key: string): readonly string[] | undefined {
    const value = this.metadata.get(key);
    if (value === undefined) return undefined;
    if (Array.isArray(value) && (value.length === 0 || typeof value[0] === 'string'))
      return value as string[];
    throw this.invalid(key, 'a list of texts');
  }

  /** A list of numbers; undefined if there is none. */
  optionalNumbers(key: string): readonly number[] | undefined {
    const value = this.metadata.get(key);
    if (value === undefined) return undefined;
    if (Array.isArray(value) && (value.length === 0 || typeof value[0] === 'number'))
      return value as number[];
    throw this.invalid(key, 'a list of numbers');
  }

  /** Throws `unsupported_model` if the key has another value than one of these. */
  demand(key: string, ...supported: readonly MetadataValue[]): void {
    const value = this.metadata.get(key);
    if (value === undefined || supported.includes(value)) return;
    throw new RND1Error(
      'unsupported_model',
      `${this.path}: ${key} ${show(value)} is not supported (only ${supported.map(show).join(' or ')})`,
    );
  }

  /** An `invalid_checkpoint` about one key. */
  invalid(key: string, expected: string): RND1Error {
    const value = this.metadata.get(key);
    const problem =
      value === undefined ? `${key} is missing` : `${key} must be ${expected}, not ${show(value)}`;
    return new RND1Error('invalid_checkpoint', `${this.path}: ${problem}`);
  }
}

function show(value: MetadataValue): string {
  if (typeof value === 'string') return quote(value);
  return printableJson(JSON.stringify(value).slice(0, 80));
}
