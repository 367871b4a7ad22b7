import type { DiffusionLM, ForwardOutput } from '../../index';

/** Bytes of logits that one call of the model may return. */
const logitsLimit = 2 ** 28;

/** Tokens of all canvases of one call. */
const rowLimit = 4096;

/** A canvas, and the positions whose predictions are wanted. */
export interface PredictedCanvas {
  readonly tokens: readonly number[] | Int32Array;
  /** The other canvas of guidance: the same without what it is guided by. */
  readonly unguided?: readonly number[];
  readonly positions: readonly number[];
}

/** A canvas with the tokens that are scored, as many as positions. */
export interface ScoredCanvas extends PredictedCanvas {
  readonly wanted: readonly number[];
}

/** How logits are computed. */
export interface PredictionOptions {
  /** Strength of guidance; only for canvases that have another. */
  readonly guidance: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * −log p of the wanted tokens, in nats, for each canvas and position. Canvases share calls of the model as far as memory
 * allows.
 */
export async function crossEntropies(
  model: DiffusionLM,
  canvases: readonly ScoredCanvas[],
  options: PredictionOptions,
): Promise<number[][]> {
  const results: number[][] = [];
  for (const part of inParts(canvases, model.config.architecture.vocabulary)) {
    const logits = await guidedLogits(model, part, options);
    results.push(
      ...part.map(({ wanted }, i) =>
        wanted.map((token, j) => {
          const row = logits[i]?.[j] as Logits;
          return normalizerOf(row) - (row[token] as number);
        }),
      ),
    );
  }
  return results;
}

type Logits = Float32Array | Float64Array;

/** The logits that predict the positions of each canvas, from one call of the model. */
export async function guidedLogits(
  model: DiffusionLM,
  canvases: readonly PredictedCanvas[],
  { guidance, signal }: PredictionOptions,
): Promise<Logits[][]> {
  const { vocabulary, predictionShift } = model.config.architecture;
  const requests = canvases.flatMap(({ tokens, unguided, positions }) => {
    const rows = positions.map((position) => Math.max(0, position - predictionShift));
    const own = { tokens, positions: rows };
    return unguided === undefined ? [own] : [own, { tokens: unguided, positions: rows }];
  });
  const outputs = await model.forwardAll(requests, signal === undefined ? {} : { signal });
  const next = outputs.values();
  const rowsOf = () => {
    const { logits } = next.next().value as ForwardOutput;
    return (i: number) => logits.subarray(i * vocabulary, (i + 1) * vocabulary);
  };
  return canvases.map(({ unguided, positions }) => {
    const own = rowsOf();
    const other = unguided === undefined ? undefined : rowsOf();
    return positions.map((_, i) => (other === undefined ? own(i) : movedAway(own(i), other(i), guidance)));
  });
}

/** Logits moved away from those without the prompt. */
const movedAway = (logits: Float32Array, without: Float32Array, guidance: number) =>
  Float64Array.from(logits, (value, i) => {
    const other = without[i] as number;
    return other + (guidance + 1) * (value - other);
  });

/** log Σ exp(logits), in double precision. */
export function normalizerOf(logits: Iterable<number>): number {
  let highest = -Infinity;
  for (const value of logits) if (value > highest) highest = value;
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - highest);
  return highest + Math.log(sum);
}

/** Consecutive canvases that fit into one call; one that fits into none is alone. */
function* inParts(canvases: readonly ScoredCanvas[], vocabulary: number): Generator<readonly ScoredCanvas[]> {
  let part: ScoredCanvas[] = [];
  let [rows, bytes] = [0, 0];
  for (const canvas of canvases) {
    const copies = canvas.unguided === undefined ? 1 : 2;
    const ownRows = copies * canvas.tokens.length;
    const ownBytes = copies * canvas.positions.length * vocabulary * Float32Array.BYTES_PER_ELEMENT;
    if (part.length > 0 && (rows + ownRows > rowLimit || bytes + ownBytes > logitsLimit)) {
      yield part;
      part = [];
      [rows, bytes] = [0, 0];
    }
    part.push(canvas);
    rows += ownRows;
    bytes += ownBytes;
  }
  if (part.length > 0) yield part;
}
