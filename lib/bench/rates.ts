import type { NativePeaks } from '../../types/native';

/** Peak rates of a device, measured in the same run. */
export type Peaks = NativePeaks;

/** The peaks to compare matmuls with weights of this dtype with. GPUs multiply quantized weights as 16-bit numbers. */
export function peaksFor(weights: string, peaks: Peaks): Peaks {
  return weights.startsWith('q') && peaks.integerOperationsPerSecond > 0
    ? { ...peaks, matrixOperationsPerSecond: peaks.integerOperationsPerSecond }
    : peaks;
}

/** Work, and the time it took. */
export interface Work {
  readonly seconds: number;
  /** A multiply-add counts as two; 0 if there are too few to matter. */
  readonly operations: number;
  /** Bytes that any implementation must read or write, once each. */
  readonly bytes: number;
}

export interface Rates {
  readonly operationsPerSecond: number;
  readonly bytesPerSecond: number;
  readonly shareOfCopy: number;
  readonly shareOfMatrix: number;
}

export function ratesOf({ seconds, operations, bytes }: Work, peaks: Peaks): Rates {
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
