/**
 * How the time of a step falls with the number of threads: layers of RND1's width with random weights.
 *
 *     npx tsx bench/scaling.ts [--threads 1,2,4] [--simulated 16,32,64] [--weights bf16] [--dtype bf16] [--rows 64,256]
 *         [--layers 4] [--vocabulary 32768] [--hidden 2048 …] [--runs 5] [--json FILE]
 *
 * `--threads` defaults to the powers of two up to the number of cores, and that number. `--simulated` threads run one
 * after another on one core, and the time is what so many cores would need: it shows how evenly work is divided and what
 * stays serial, but not what cores share (memory, caches) nor the time to wake them.
 */
import { parseArgs } from 'node:util';
import { formatSeconds, formatShare, formatTable } from '../lib/bench/units';
import { usableCores } from '../lib/runtime/cores';
import { runMain } from './support/main';
import { buildBench, runBench } from './support/program';
import { circumstances, writeJson } from './support/record';

/** Passed on to rnd1_bench; they default to RND1's. */
const sizes = [
  ...['hidden', 'heads', 'key-value-heads', 'head-dim'],
  ...['experts', 'experts-per-token', 'expert-width'],
];

const { values } = parseArgs({
  options: {
    ...(Object.fromEntries(sizes.map((name) => [name, { type: 'string' }])) as Record<
      string,
      { type: 'string' }
    >),
    threads: { type: 'string' },
    simulated: { type: 'string', default: '16,32,64' },
    weights: { type: 'string', default: 'bf16' },
    dtype: { type: 'string', default: 'bf16' },
    rows: { type: 'string', default: '64,256' },
    layers: { type: 'string', default: '4' },
    vocabulary: { type: 'string', default: '32768' },
    runs: { type: 'string', default: '5' },
    program: { type: 'string' },
    json: { type: 'string' },
  },
});

interface ScalingFigure {
  readonly threads: number;
  readonly simulated: boolean;
  readonly rows: number;
  readonly seconds: number;
  /** Time of one thread over that of these, of the same kind. */
  readonly speedup: number;
}

function counts(name: 'threads' | 'simulated', text: string): number[] {
  const all = text.split(',').filter(Boolean).map(Number);
  if (all.every((count) => Number.isSafeInteger(count) && count > 0)) return all;
  throw new RangeError(`--${name} must be positive integers, not '${text}'`);
}

/** 1, 2, 4, … and `cores`. */
function powersUpTo(cores: number): number[] {
  const powers = Array.from({ length: Math.floor(Math.log2(cores)) + 1 }, (_, power) => 2 ** power);
  return powers.at(-1) === cores ? powers : [...powers, cores];
}

/** Steps with each number of threads, the first of which is 1, and the instruction set that they ran with. */
function measure(program: string, simulated: boolean, threads: readonly number[]) {
  const { weights, dtype, rows, layers, vocabulary, runs } = values;
  const given = sizes.flatMap((name) => {
    const value = (values as Record<string, string | undefined>)[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const options = [...Object.entries({ weights, dtype, rows, layers, vocabulary, runs }), ...given];
  const args = options.flatMap(([name, value]) => [`--${name}`, value]);
  const first = new Map<number, number>();
  let instructionSet = '';
  const figures = threads.flatMap((count): ScalingFigure[] => {
    const flag = simulated ? '--simulated-threads' : '--threads';
    const measured = runBench(program, ['step', ...args, '--effort', '0.01', flag, String(count)]);
    instructionSet = measured.instructionSet;
    return measured.figures.map(({ shape, seconds }) => {
      const length = shape.length as number;
      if (!first.has(length)) first.set(length, seconds);
      const speedup = (first.get(length) as number) / seconds;
      return { threads: count, simulated, rows: length, seconds, speedup };
    });
  });
  return { instructionSet, figures };
}

const withOne = (threads: readonly number[]) => [1, ...threads.filter((count) => count !== 1)];

function main(): void {
  const program = values.program ?? buildBench();
  const real = values.threads ? counts('threads', values.threads) : powersUpTo(usableCores());
  const simulated = counts('simulated', values.simulated);
  const { instructionSet, figures } = measure(program, false, withOne(real));
  if (simulated.length > 0) figures.push(...measure(program, true, withOne(simulated)).figures);
  console.log(
    `scaling: cpu (${instructionSet}), ${values.layers} layers, ${values.weights} weights, compute dtype ${values.dtype}`,
  );
  const header = ['threads', 'rows', 'time', 'faster than one', 'per thread'];
  const rows = figures.map((figure) => [
    `${figure.threads}${figure.simulated ? ' simulated' : ''}`,
    String(figure.rows),
    formatSeconds(figure.seconds),
    `${figure.speedup.toFixed(2)} ×`,
    formatShare(figure.speedup / figure.threads),
  ]);
  console.log(`\n${formatTable(header, rows)}`);
  const { weights, dtype, layers } = values;
  const settings = {
    bench: 'scaling',
    device: 'cpu',
    instructionSet,
    weights,
    dtype,
    layers: Number(layers),
  };
  if (values.json) writeJson(values.json, { ...settings, ...circumstances('cpu'), figures });
}

runMain(main);
