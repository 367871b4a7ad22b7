import { isDeepStrictEqual } from 'node:util';
import { RND1Error } from '../support/errors';
import { quote } from './format';

/** Deeper nesting is refused, so that recursion over a value cannot overflow the stack. */
const DEPTH_LIMIT = 32;

/** Entries of one object or array. RND1 has 18,867 tensors. */
export const ENTRY_LIMIT = 500_000;

const scalar = /true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const pythonScalar = new RegExp(`NaN|-?Infinity|${scalar.source}`, 'y');

/** The accepted form of JSON. */
export interface JsonDialect {
  /** NaN, Infinity and -Infinity are numbers, as Python's json writes and reads them. @default false */
  readonly constants?: boolean;
  /** Limit of values that `value` builds. @default 0 */
  readonly values?: number;
  /** Called for a duplicate key with the same value; one with different values is refused. */
  readonly onTwice?: (key: string) => void;
}

/**
 * Reads JSON front to back. Unlike `JSON.parse` it refuses duplicate keys, deep nesting, more values than allowed and,
 * where integers are expected, those that a double cannot hold, so hostile input stays cheap.
 */
export class JsonReader {
  private at = 0;
  private built = 0;

  /** `where` names the text in errors, which are `invalid_checkpoint`. */
  constructor(
    private readonly text: string,
    private readonly where: string,
    private readonly dialect: JsonDialect = {},
  ) {}

  /** The error for a problem at the current place. */
  error(problem: string): RND1Error {
    return new RND1Error('invalid_checkpoint', `${this.where}: ${problem} at character ${this.at}`);
  }

  /** Reads an object; `readValue` must consume the value of each key. */
  object(readValue: (key: string) => void): void {
    this.expect('{');
    if (this.accept('}')) return;
    const keys = new Set<string>();
    do {
      const key = this.string();
      if (keys.has(key)) throw this.error(`duplicate name ${quote(key)}`);
      if (keys.add(key).size > ENTRY_LIMIT) throw this.error(`more than ${ENTRY_LIMIT} names`);
      this.expect(':');
      readValue(key);
    } while (this.accept(','));
    this.expect('}');
  }

  /** Reads an array; `readItem` must consume one item. */
  array(readItem: () => void, limit = ENTRY_LIMIT): void {
    this.expect('[');
    if (this.accept(']')) return;
    let items = 0;
    do {
      if (++items > limit) throw this.error(`more than ${limit} items`);
      readItem();
    } while (this.accept(','));
    this.expect(']');
  }

  /** Reads a string. */
  string(): string {
    this.space();
    const start = this.at;
    if (this.text[start] !== '"') throw this.error('expected a string');
    let escaped = false;
    for (let end = start + 1; ; end++) {
      const code = this.text.charCodeAt(end);
      // NaN past the end of the text fails this test too.
      if (!(code >= 0x20)) throw this.error('unfinished string');
      if (code === 0x5c) {
        escaped = true;
        end++;
      } else if (code === 0x22) {
        const value = escaped ? this.unescape(start, end + 1) : this.text.slice(start + 1, end);
        this.at = end + 1;
        return value;
      }
    }
  }

  /** Reads an integer from 0 to 2^53 − 1, written without sign, fraction or exponent. */
  integer(): number {
    this.space();
    const match = this.match(/(?:0|[1-9][0-9]{0,15})(?![0-9.eE])/y);
    const value = Number(match);
    if (match === null || value > Number.MAX_SAFE_INTEGER) {
      throw this.error('expected an integer from 0 to 2^53 − 1');
    }
    this.at += match.length;
    return value;
  }

  /** Reads and builds a value of any kind. */
  value(depth = 0): unknown {
    if (depth > DEPTH_LIMIT) throw this.error(`nested deeper than ${DEPTH_LIMIT}`);
    const { values: limit = 0 } = this.dialect;
    if (++this.built > limit) throw this.error(`more than ${limit} values`);
    this.space();
    const first = this.text[this.at];
    if (first === '{') return this.record(depth);
    if (first === '"') return this.string();
    if (first !== '[') return this.scalar();
    const items: unknown[] = [];
    this.array(() => items.push(this.value(depth + 1)), limit);
    return items;
  }

  private record(depth: number): Record<string, unknown> {
    const record: Record<string, unknown> = {};
    this.expect('{');
    if (this.accept('}')) return record;
    do {
      const key = this.string();
      this.expect(':');
      const value = this.value(depth + 1);
      if (Object.hasOwn(record, key)) {
        if (!isDeepStrictEqual(record[key], value)) {
          throw this.error(`the key ${quote(key)} occurs twice, with different values,`);
        }
        this.dialect.onTwice?.(key);
      } else if (key === '__proto__') {
        // An assignment would set the prototype.
        Object.defineProperty(record, key, { value, enumerable: true, writable: true, configurable: true });
      } else {
        record[key] = value;
      }
    } while (this.accept(','));
    this.expect('}');
    return record;
  }

  /** Reads past a value of any kind. */
  skip(depth = 0): void {
    if (depth > DEPTH_LIMIT) throw this.error(`nested deeper than ${DEPTH_LIMIT}`);
    this.space();
    const first = this.text[this.at];
    if (first === '{') this.object(() => this.skip(depth + 1));
    else if (first === '[') this.array(() => this.skip(depth + 1));
    else if (first === '"') this.string();
    else this.scalar();
  }

  /** Reads null, a boolean or a number. */
  scalar(): null | boolean | number {
    this.space();
    const { constants = false } = this.dialect;
    const word = this.match(constants ? pythonScalar : scalar);
    if (word === null) throw this.error('expected a value');
    this.at += word.length;
    return word === 'null' ? null : word === 'true' ? true : word === 'false' ? false : Number(word);
  }

  /** Reads null if it is next; returns whether. */
  acceptNull(): boolean {
    this.space();
    if (!this.text.startsWith('null', this.at)) return false;
    this.at += 4;
    return true;
  }

  /** Throws unless only white space follows. */
  end(): void {
    this.space();
    if (this.at < this.text.length) throw this.error('expected the end');
  }

  private unescape(start: number, end: number): string {
    try {
      return JSON.parse(this.text.slice(start, end));
    } catch {
      throw this.error('bad escape in string');
    }
  }

  private match(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text)?.[0] ?? null;
  }

  private expect(character: string): void {
    if (!this.accept(character)) throw this.error(`expected '${character}'`);
  }

  private accept(character: string): boolean {
    this.space();
    if (this.text[this.at] !== character) return false;
    this.at++;
    return true;
  }

  private space(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.at++;
    }
  }
}
