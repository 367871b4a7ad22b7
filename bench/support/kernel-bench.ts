import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { peaksFor, ratesOf } from '../../lib/bench/rates';
import {
  formatPeaks,
  formatSeconds,
  formatTable,
  nothing,
  rateCells,
  rateColumns,
} from '../../lib/bench/units';
import type { Figure } from './figures';
import { runMain } from './main';
import { withBaselines } from './peers';
import { buildBench, type Measured, runBench } from './program';
import { circumstances, writeJson } from './record';

/** The definition of one kernel bench script. */
export interface KernelBench {
  /** Name of the op in rnd1_bench. */
  readonly op: string;
  /** Default of `--rows`. */
  readonly rows: { readonly cpu: string; readonly cuda: string };
  /** Supported size options besides `--rows`. */
  readonly sizes: readonly string[];
  /** The script in bench/peers. */
  readonly peer?: string;
}

const common = ['device', 'dtype', 'weights', 'threads', 'runs', 'effort'] as const;

/** Runs a kernel bench with the options of the command line. */
export function kernelBench(bench: KernelBench): void {
  runMain(() => {
    const names = ['json', 'program', 'rows', ...common, ...bench.sizes];
    const { values } = parseArgs({
      options: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
    });
    const { json, program, ...given } = values as Record<string, string | undefined>;
    const device = given.device ?? 'cpu';
    // q8, q5 and q4 select the weights; everything else is then computed in bf16.
    const quantized = ['q8', 'q5', 'q4'].includes(given.dtype ?? '') ? given.dtype : undefined;
    const dtype = quantized ? 'bf16' : (given.dtype ?? 'bf16');
    const options: Record<string, string | undefined> = {
      rows: device.startsWith('cuda') ? bench.rows.cuda : bench.rows.cpu,
      threads: String(availableParallelism()),
      // f16 is measured on f16 weights, the other dtypes on bf16 weights.
      weights: quantized ?? (dtype === 'f16' ? 'f16' : 'bf16'),
      ...given,
      dtype,
    };
    const args = Object.entries(options).flatMap(([name, value]) =>
      value === undefined ? [] : [`--${name}`, value],
    );
    const printed = runBench(program ?? buildBench(), [bench.op, ...args]);
    const weights = options.weights as string;
    const figures = withBaselines(printed.figures, { peer: bench.peer, device, args }).map((figure) => ({
      ...figure,
      peaks: peaksFor(weights, figure.peaks),
    }));
    const measured = { ...printed, peaks: peaksFor(weights, printed.peaks), figures };
    print(bench.op, measured, weights);
    if (json) record(json, bench.op, measured, weights);
  });
}

/** Separates sizes that are the same in all cases, which are printed once above the table, from those that vary. */
function splitSizes(figures: readonly Figure[]): { constant: string[]; varying: string[] } {
  const names = [...new Set(figures.flatMap(({ shape }) => Object.keys(shape)))];
  const values = (name: string) => new Set(figures.map(({ shape }) => shape[name]));
  return {
    constant: names.filter((name) => values(name).size === 1),
    varying: names.filter((name) => values(name).size > 1),
  };
}

/** The fastest baseline, and its time relative to this figure. */
function baselineCell({ baselines, seconds }: Figure): string {
  const best = [...baselines].sort((a, b) => a.seconds - b.seconds)[0];
  if (!best) return nothing;
  return `${(best.seconds / seconds).toFixed(2)} × (${best.name}, ${formatSeconds(best.seconds)})`;
}

function print(op: string, measured: Measured, weights: string): void {
  const { device, instructionSet, threads, dtype, peaks, figures } = measured;
  const { constant, varying } = splitSizes(figures);
  const where =
    device === 'cpu' ? `cpu (${instructionSet}), ${threads} threads` : `${device} (${instructionSet})`;
  console.log(`${op}: ${where}, ${dtype} on ${weights} weights`);
  console.log(`in this run: ${formatPeaks(peaks)}`);
  if (constant.length > 0) {
    console.log(constant.map((name) => `${spaced(name)} ${figures[0]?.shape[name]}`).join(', '));
  }
  const header = ['case', ...varying.map(spaced), 'time', ...rateColumns, 'baseline'];
  const rows = figures.map((figure) => [
    figure.case,
    ...varying.map((name) => String(figure.shape[name] ?? nothing)),
    formatSeconds(figure.seconds),
    ...rateCells(ratesOf(figure, figure.peaks)),
    baselineCell(figure),
  ]);
  console.log(`\n${formatTable(header, rows)}`);
}

/** `expertWidth` → `expert width`. */
function spaced(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

function record(file: string, op: string, measured: Measured, weights: string): void {
  const { figures, peaks, device, ...place } = measured;
  writeJson(file, {
    bench: op,
    ...circumstances(device),
    device,
    ...place,
    weights,
    peaks,
    figures: figures.map((figure) => ({ ...figure, ...ratesOf(figure, figure.peaks) })),
  });
}
