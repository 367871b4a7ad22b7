import { RND1Error } from '../../support/errors';

/** Thrown where the bytes end; the file may go on. */
export class EndOfBytes extends Error {}

/** Reads little-endian numbers and texts, front to back. */
export class Cursor {
  offset = 0;
  readonly #view: DataView;
  readonly #decoder = new TextDecoder('utf-8', { fatal: true });

  constructor(
    private readonly bytes: Uint8Array,
    readonly path: string,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** An `invalid_checkpoint` about the file. */
  invalid(problem: string): RND1Error {
    return new RND1Error('invalid_checkpoint', `${this.path}: ${problem}`);
  }

  /** Throws `EndOfBytes` unless `count` more bytes are there. */
  need(count: number): void {
    if (count > this.bytes.length - this.offset) throw new EndOfBytes();
  }

  uint8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  int8(): number {
    return this.#view.getInt8(this.#take(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  int16(): number {
    return this.#view.getInt16(this.#take(2), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  int32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  float32(): number {
    return this.#view.getFloat32(this.#take(4), true);
  }

  float64(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  /** An integer of 64 bits, which must be below 2^53. `what`: for the error. */
  uint64(what: string): number {
    return this.#safe(this.#view.getBigUint64(this.#take(8), true), what);
  }

  int64(what: string): number {
    return this.#safe(this.#view.getBigInt64(this.#take(8), true), what);
  }

  /** A text with its length before it. */
  string(what: string, limit: number): string {
    const length = this.uint64(`the length of ${what}`);
    if (length > limit) throw this.invalid(`${what} has ${length} bytes; the limit is ${limit}`);
    const start = this.#take(length);
    try {
      return this.#decoder.decode(this.bytes.subarray(start, start + length));
    } catch {
      throw this.invalid(`${what} is not UTF-8 text`);
    }
  }

  #take(count: number): number {
    this.need(count);
    const { offset } = this;
    this.offset += count;
    return offset;
  }

  #safe(value: bigint, what: string): number {
    if (value <= Number.MAX_SAFE_INTEGER && value >= Number.MIN_SAFE_INTEGER) return Number(value);
    throw this.invalid(`${what} is ${value}, which is beyond 2^53`);
  }
}
