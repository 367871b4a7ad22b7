import type { Peaks, Work } from '../../lib/bench/rates';

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

/** One case of a bench, with the median time of a call. */
export interface Figure extends Work {
  readonly case: string;
  readonly shape: Readonly<Record<string, number>>;
  readonly shortestSeconds: number;
  readonly longestSeconds: number;
  readonly baselines: readonly Baseline[];
}

/** One case of an op. */
export interface KernelFigure extends Figure {
  /** Medians of the peaks measured in alternation with this case. */
  readonly peaks: Peaks;
}
