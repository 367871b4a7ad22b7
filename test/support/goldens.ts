import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The folder of the golden data; its FORMAT.md describes every file. */
export const fixturesFolder = join(__dirname, '..', 'fixtures');

/** A number as the golden JSON writes it: NaN and the infinities are strings. */
export type GoldenNumber = number | 'NaN' | 'Infinity' | '-Infinity';

interface ArrayEntry {
  readonly dtype: 'f32' | 'f64' | 'i32';
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}

/** The fields of every golden JSON file that has raw data beside it. */
export interface WithArrays {
  readonly data: string;
  readonly arrays: Readonly<Record<string, ArrayEntry>>;
}

/** Reads a JSON file of the golden data, by its path below `fixturesFolder`. */
export function readGolden<T>(path: string): T {
  return JSON.parse(readFileSync(join(fixturesFolder, path), 'utf8')) as T;
}

/** Converts a golden JSON list to f32. */
export function float32(values: readonly GoldenNumber[]): Float32Array {
  return Float32Array.from(values, Number);
}

/** The raw arrays of one golden JSON file. */
export class GoldenArrays {
  readonly #entries: WithArrays['arrays'];
  readonly #bytes: Uint8Array;

  /** @param path of the JSON file, below `fixturesFolder` */
  constructor(path: string, golden: WithArrays) {
    this.#entries = golden.arrays;
    this.#bytes = Uint8Array.from(readFileSync(join(fixturesFolder, dirname(path), golden.data)));
  }

  has(name: string): boolean {
    return name in this.#entries;
  }

  shape(name: string): readonly number[] {
    return this.#entry(name).shape;
  }

  /** An f32 or f64 array; with `precise` its f64 version `f64.<name>`, if there is one. */
  floats(name: string, precise = false): Float32Array | Float64Array {
    const found = precise && this.has(`f64.${name}`) ? `f64.${name}` : name;
    const { dtype, offset, bytes } = this.#entry(found);
    const buffer = this.#bytes.buffer.slice(offset, offset + bytes) as ArrayBuffer;
    if (dtype === 'i32') throw new TypeError(`golden array ${found} is i32, not a float`);
    return dtype === 'f32' ? new Float32Array(buffer) : new Float64Array(buffer);
  }

  integers(name: string): Int32Array {
    const { dtype, offset, bytes } = this.#entry(name);
    if (dtype !== 'i32') throw new TypeError(`golden array ${name} is ${dtype}, not i32`);
    return new Int32Array(this.#bytes.buffer.slice(offset, offset + bytes) as ArrayBuffer);
  }

  #entry(name: string): ArrayEntry {
    const entry = this.#entries[name];
    if (entry === undefined) throw new RangeError(`there is no golden array ${name}`);
    return entry;
  }
}
