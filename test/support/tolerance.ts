type Floats = Float32Array | Float64Array | readonly number[];

function sameLength(actual: Floats, expected: Floats): void {
  if (actual.length !== expected.length) {
    throw new RangeError(`${actual.length} values to compare with ${expected.length}`);
  }
  if (actual.length === 0) throw new RangeError('nothing to compare');
}

/** Largest |actual − expected|; NaN as soon as one of the differences is NaN. Equal infinities do not differ. */
export function maxAbsoluteError(actual: Floats, expected: Floats): number {
  sameLength(actual, expected);
  let largest = 0;
  for (let i = 0; i < actual.length; i++) {
    const a = actual[i] as number;
    const e = expected[i] as number;
    const error = a === e ? 0 : Math.abs(a - e);
    if (Number.isNaN(error)) return Number.NaN;
    largest = Math.max(largest, error);
  }
  return largest;
}

/** Normalised mean squared error: Σ (actual − expected)² / Σ expected². */
export function normalisedError(actual: Floats, expected: Floats): number {
  sameLength(actual, expected);
  let error = 0;
  let power = 0;
  for (let i = 0; i < actual.length; i++) {
    const e = expected[i] as number;
    error += ((actual[i] as number) - e) ** 2;
    power += e ** 2;
  }
  return error / power;
}

/** Whether two arrays hold the same bits: unlike `===`, −0 and 0 differ here. */
export function sameBits(a: Float32Array, b: Float32Array): boolean {
  const bytes = (x: Float32Array) => Buffer.from(x.buffer, x.byteOffset, x.byteLength);
  return bytes(a).equals(bytes(b));
}
