import { quote } from '../format';
import type { Cursor } from './cursor';

/** A value of a GGUF file's metadata. */
export type MetadataValue =
  | number
  | boolean
  | string
  | readonly number[]
  | readonly boolean[]
  | readonly string[];

type Scalar = number | boolean | string;

/** Limit of keys: published files have a few dozen. */
const keyLimit = 10_000;
/** Entries of all lists together; a vocabulary of 150,000 tokens has 450,000 in tokens, types and merges. */
const valueLimit = 4_000_000;
/** Bytes of a key, and of a text, which may be a chat template. */
const keyBytes = 2 ** 16;
const textBytes = 4_000_000;

/** A type of values: how one is read, and the fewest bytes that it takes. */
interface ValueType {
  readonly bytes: number;
  readonly read: (cursor: Cursor, what: string) => Scalar;
}

const valueTypes: ReadonlyMap<number, ValueType> = new Map<number, ValueType>([
  [0, { bytes: 1, read: (cursor) => cursor.uint8() }],
  [1, { bytes: 1, read: (cursor) => cursor.int8() }],
  [2, { bytes: 2, read: (cursor) => cursor.uint16() }],
  [3, { bytes: 2, read: (cursor) => cursor.int16() }],
  [4, { bytes: 4, read: (cursor) => cursor.uint32() }],
  [5, { bytes: 4, read: (cursor) => cursor.int32() }],
  [6, { bytes: 4, read: (cursor) => decimalOf(cursor.float32()) }],
  [7, { bytes: 1, read: (cursor) => cursor.uint8() !== 0 }],
  [8, { bytes: 8, read: (cursor, what) => cursor.string(what, textBytes) }],
  [10, { bytes: 8, read: (cursor, what) => cursor.uint64(what) }],
  [11, { bytes: 8, read: (cursor, what) => cursor.int64(what) }],
  [12, { bytes: 8, read: (cursor) => cursor.float64() }],
]);

const listType = 9;

/** Reads the keys and values of a header. Throws `invalid_checkpoint`, naming the key. */
export function readMetadata(cursor: Cursor, count: number): Map<string, MetadataValue> {
  if (count > keyLimit) throw cursor.invalid(`it would have ${count} keys; the limit is ${keyLimit}`);
  const metadata = new Map<string, MetadataValue>();
  let left = valueLimit;
  for (let i = 0; i < count; i++) {
    const key = cursor.string('a key', keyBytes);
    if (metadata.has(key)) throw cursor.invalid(`the key ${quote(key)} occurs twice`);
    const number = cursor.uint32();
    const isList = number === listType;
    const type = valueTypes.get(isList ? cursor.uint32() : number);
    if (type === undefined) {
      throw cursor.invalid(`${quote(key)} is ${isList ? 'a list of' : 'of'} a type that is not read`);
    }
    if (!isList) {
      metadata.set(key, type.read(cursor, quote(key)));
      continue;
    }
    const length = cursor.uint64(`the length of ${quote(key)}`);
    left -= length;
    if (left < 0) throw cursor.invalid(`the lists up to ${quote(key)} have more than ${valueLimit} values`);
    // Before memory is allocated for the list.
    cursor.need(length * type.bytes);
    const what = `a value of ${quote(key)}`;
    metadata.set(key, Array.from({ length }, () => type.read(cursor, what)) as unknown as MetadataValue);
  }
  return metadata;
}

/** The shortest decimal number that a float of 32 bits stands for: 1e-6, not 9.999999974752427e-7. */
function decimalOf(value: number): number {
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
