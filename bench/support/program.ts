import { spawnSync } from 'node:child_process';
import type { Peaks } from '../../lib/bench/rates';
import { BuildError } from '../../scripts/command';
import { cudaBuild } from '../../scripts/cuda';
import { buildNativePrograms, nativeProgramsUnavailable } from '../../scripts/native-programs';
import type { KernelFigure, Place } from './figures';

/** Everything that one run of rnd1_bench prints. */
export interface Measured extends Place {
  readonly peaks: Peaks;
  readonly figures: readonly KernelFigure[];
}

/** One output line of rnd1_bench. */
type Line = Place & Peaks & { readonly bench: string } & Partial<Omit<KernelFigure, 'baselines' | 'peaks'>>;

const peaksOf = ({
  copyBytesPerSecond,
  matrixOperationsPerSecond,
  integerOperationsPerSecond,
}: Peaks): Peaks => ({
  copyBytesPerSecond,
  matrixOperationsPerSecond,
  integerOperationsPerSecond,
});

/** Builds rnd1_bench and returns its path; `RND1_CUDA=ON` in the environment includes GPUs. */
export function buildBench(): string {
  const unavailable = nativeProgramsUnavailable();
  if (unavailable) throw new BuildError(unavailable);
  const [program] = buildNativePrograms({
    folder: 'build-bench',
    targets: ['rnd1_bench'],
    settings: ['RND1_BENCH=ON', ...cudaBuild().settings],
  });
  return program as string;
}

/** Runs rnd1_bench, with its standard error on the terminal. */
export function runBench(program: string, args: readonly string[]): Measured {
  const { status, signal, stdout, error } = spawnSync(program, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) {
    throw new BuildError(`${program} failed (${error?.message ?? signal ?? `exit code ${status}`}).`);
  }
  const [first, ...lines] = stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Line);
  if (first?.bench !== 'peaks') throw new BuildError(`${program} printed no peaks.`);
  const { device, instructionSet, threads, dtype } = first;
  return {
    device,
    instructionSet,
    threads,
    dtype,
    peaks: peaksOf(first),
    figures: lines.map((line) => {
      const { seconds, shortestSeconds, longestSeconds, operations, bytes, shape } = line as Line &
        KernelFigure;
      return {
        case: line.case as string,
        shape,
        seconds,
        shortestSeconds,
        longestSeconds,
        operations,
        bytes,
        baselines: [],
        peaks: peaksOf(line),
      };
    }),
  };
}
