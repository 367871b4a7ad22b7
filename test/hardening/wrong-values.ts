/** A wrong value, the error it deserves, and what the message must hold. */
export type Wrong = readonly [value: unknown, kind: 'TypeError' | 'RangeError', quoted: string];

export const type = (...values: [unknown, string][]): Wrong[] =>
  values.map(([value, quoted]) => [value, 'TypeError', quoted]);
export const range = (...values: (number | bigint)[]): Wrong[] =>
  values.map((value) => [
    value,
    'RangeError',
    typeof value === 'bigint' ? `${value}n` : Object.is(value, -0) ? '-0' : String(value),
  ]);

export const noNumber = type(
  ['3', "'3'"],
  [3n, '3n'],
  [{}, '{}'],
  [true, 'true'],
  [[3], '[ 3 ]'],
  [Symbol('s'), 's'],
);
export const notFinite = range(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY);
export const noInteger = [...noNumber, ...notFinite, ...range(1.5, 2 ** 53, -(2 ** 53), 1e300)];
export const noBoolean = type([1, '1'], ['true', "'true'"], [null, 'null'], [{}, '{}']);
export const noString = type(
  [7, '7'],
  [{}, '{}'],
  [['a'], "[ 'a' ]"],
  [Symbol('s'), 'Symbol(s)'],
  [5n, '5n'],
);

export function detached(): Int32Array {
  const array = Int32Array.of(1, 2);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
}

/** Lists of integers below `limit`. */
export const noList = (limit: number): Wrong[] => [
  ...type([7, '7'], ['12', "'12'"], [{ length: 1, 0: 1 }, 'length: 1'], [new Set([1]), 'Set(1)']),
  ...type([new ArrayBuffer(4), 'ArrayBuffer'], [new DataView(new ArrayBuffer(4)), 'DataView']),
  ...type([['1'], "'1'"], [[null], 'null'], [new Array(3), 'undefined'], [BigInt64Array.of(5n), '5n']),
  ...type([Object.assign([1], { 2: 2 }), '[1] must be an integer, not undefined']),
  ...type([new Proxy({ length: 1 }, {}), 'length: 1'], [detached(), 'Int32Array(0)']),
  [[1, Number.NaN], 'RangeError', '[1] is NaN'],
  [[1.5], 'RangeError', '[0] is 1.5'],
  [Float32Array.of(1, 0.5), 'RangeError', '[1] is 0.5'],
  [Int32Array.of(1, -1), 'RangeError', '[1] is -1'],
  [[limit], 'RangeError', `[0] is ${limit}`],
  [[2 ** 32 + 1], 'RangeError', '4294967297'],
  [new Proxy([-3], {}), 'RangeError', '-3'],
];
