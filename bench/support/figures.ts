/** What a device reaches at best, measured in the same run. */
export interface Peaks {
  readonly copyBytesPerSecond: number;
  readonly matrixOperationsPerSecond: number;
  /** Of bytes, which products with quantized weights use; 0 where there are none. */
  readonly integerOperationsPerSecond: number;
}

/** The peaks that products with weights of a dtype are compared with. */
export function peaksFor(weights: string, peaks: Peaks): Peaks {
  return weights === 'q8' || weights === 'q4'
    ? { ...peaks, matrixOperationsPerSecond: peaks.integerOperationsPerSecond }
    : peaks;
}

/** Where a bench ran. */
export interface Place {
  readonly device: string;
  readonly instructionSet: string;
  readonly threads: number;
  /** The compute dtype. */
  readonly dtype: string;
}

/** How long something else takes for the same. */
export interface Baseline {
  readonly name: string;
  readonly seconds: number;
}

/** One case of a bench. */
export interface Figure {
  readonly case: string;
  readonly shape: Readonly<Record<string, number>>;
  /** The median of a call. */
  readonly seconds: number;
  readonly shortestSeconds: number;
  readonly longestSeconds: number;
  /** A multiply-add is two; 0 where there are none worth counting. */
  readonly operations: number;
  /** That any implementation must read or write, once each. */
  readonly bytes: number;
  readonly baselines: readonly Baseline[];
}

/** A case of an op. */
export interface KernelFigure extends Figure {
  /** Medians of what was measured in turns with it. */
  readonly peaks: Peaks;
}

export interface Rates {
  readonly operationsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly shareOfCopy: number;
  readonly shareOfMatrix: number;
}

export function ratesOf(
  { seconds, operations, bytes }: Pick<Figure, 'seconds' | 'operations' | 'bytes'>,
  peaks: Peaks,
): Rates {
  const operationsPerSecond = operations / seconds;
  const bytesPerSecond = bytes / seconds;
  return {
    operationsPerSecond,
    bytesPerSecond,
    shareOfCopy: bytesPerSecond / peaks.copyBytesPerSecond,
    shareOfMatrix: operationsPerSecond / peaks.matrixOperationsPerSecond,
  };
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}
