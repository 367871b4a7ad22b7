/** A tuple of Python. */
export class PythonTuple {
  constructor(readonly items: readonly PythonValue[]) {}
}

/** A set of Python, in the order written. */
export class PythonSet {
  constructor(readonly items: readonly PythonValue[]) {}
}

/** A dictionary of Python, in the order written. */
export class PythonDict {
  constructor(readonly entries: readonly (readonly [PythonValue, PythonValue])[]) {}
}

/** What a literal of Python stands for: bigint is an int, number a float, an array a list. */
export type PythonValue =
  | null
  | boolean
  | bigint
  | number
  | string
  | readonly PythonValue[]
  | PythonTuple
  | PythonSet
  | PythonDict;

/** What a Python value is in JSON: ints and floats are numbers, tuples and sets arrays, keys text. */
export type PlainValue =
  | null
  | boolean
  | number
  | string
  | readonly PlainValue[]
  | { readonly [key: string]: PlainValue };

export function plainValue(value: PythonValue): PlainValue {
  if (typeof value === 'bigint') return Number(value);
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof PythonDict) {
    return Object.fromEntries(
      value.entries.map(([key, item]) => [typeof key === 'string' ? key : String(key), plainValue(item)]),
    );
  }
  const items = value instanceof PythonTuple || value instanceof PythonSet ? value.items : value;
  return items.map(plainValue);
}
