/** Rows of logits laid out so that `scoreAndUnmask` scores each of them `copies` times, at separate positions. */
export interface RowCanvas {
  /** [tokens.length, vocabulary] */
  readonly logits: Float32Array;
  readonly request: { readonly tokens: Int32Array; readonly masked: Int32Array };
}

/** Copy c of row r is masked position r · copies + c + 1, which the logits row before it predicts. */
export function canvasOfRows(rows: ArrayLike<number>, vocabulary: number, copies: number): RowCanvas {
  const count = (rows.length / vocabulary) * copies;
  const logits = new Float32Array((count + 1) * vocabulary);
  const source = Float32Array.from(rows);
  for (let i = 0; i < count; i++) {
    const row = Math.floor(i / copies);
    logits.set(source.subarray(row * vocabulary, (row + 1) * vocabulary), i * vocabulary);
  }
  return {
    logits,
    request: {
      tokens: new Int32Array(count + 1),
      masked: Int32Array.from({ length: count }, (_, i) => i + 1),
    },
  };
}
