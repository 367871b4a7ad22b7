/** Peak rates of a device, measured in the same run. */
export interface Peaks {
  readonly copyBytesPerSecond: number;
  readonly matrixOperationsPerSecond: number;
  /** Rate of 8-bit multiply-adds, used by matmuls with quantized weights; 0 if the device has none. */
  readonly integerOperationsPerSecond: number;
}

/** The peaks to compare matmuls with weights of this dtype with. */
export function peaksFor(weights: string, peaks: Peaks): Peaks {
  return weights === 'q8' || weights === 'q4'
    ? { ...peaks, matrixOperationsPerSecond: peaks.integerOperationsPerSecond }
    : peaks;
}

/** The device and settings that a bench ran with. */
export interface Place {
  readonly device: string;
  readonly instructionSet: string;
  readonly threads: number;
  /** The compute dtype. */
  readonly dtype: string;
}

/** The time of another implementation for the same case. */
export interface Baseline {
  readonly name: string;
  readonly seconds: number;
}

/** One case of a bench. */
export interface Figure {
  readonly case: string;
  readonly shape: Readonly<Record<string, number>>;
  /** Median time of a call. */
  readonly seconds: number;
  readonly shortestSeconds: number;
  readonly longestSeconds: number;
  /** A multiply-add counts as two; 0 if there are too few to matter. */
  readonly operations: number;
  /** Bytes that any implementation must read or write, once each. */
  readonly bytes: number;
  readonly baselines: readonly Baseline[];
}

/** One case of an op. */
export interface KernelFigure extends Figure {
  /** Medians of the peaks measured in alternation with this case. */
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
