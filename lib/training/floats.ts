/** The upper halves of f32 values, rounded to nearest, ties to even; NaN stays NaN. */
export function roundedToBf16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (each) =>
    (each & 0x7fffffff) > 0x7f800000 ? (each >>> 16) | 0x40 : (each + 0x7fff + ((each >>> 16) & 1)) >>> 16,
  );
}

/** The values of bf16 numbers. */
export function widened(values: Uint16Array): Float32Array {
  return new Float32Array(Uint32Array.from(values, (each) => each << 16).buffer);
}

/** The bytes of an array, not copied. */
export function bytesOf(values: Float32Array | Uint16Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
