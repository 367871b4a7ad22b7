/**
 * Training steps: masked diffusion in f32 with AdamW, of nano and of a model of 60.9M parameters. Where python3 has
 * PyTorch, it trains the same checkpoint on the same batch in alternation. RND1_CPU=avx2 restricts the instruction set.
 * Debian's PyTorch needs OpenBLAS in front (LD_LIBRARY_PATH, package libopenblas0-openmp) to be a fair baseline.
 *
 *     npx tsx bench/train.ts [--models nano,60M] [--device cpu] [--threads N] [--runs 11] [--json FILE] [--python python3]
 *         [--program FILE]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { median } from '../lib/bench/rates';
import { formatOperations, formatSeconds, formatShare, formatTable, nothing } from '../lib/bench/units';
import { trainingDevice } from '../lib/runtime/device';
import { Trainer, type TrainingBatch } from '../lib/training';
import { writeCheckpoint } from './support/checkpoint';
import { runMain } from './support/main';
import { buildBench, runBench } from './support/program';
import { circumstances, writeJson } from './support/record';
import { TorchTrainer } from './support/torch-trainer';
import { operationsOfStep, randomBatch, type TrainingCase, trainingCases } from './support/training-model';

const learningRate = 1e-4;

/** Seconds of a step; medians of many. */
interface StepTimes {
  readonly seconds: number;
  readonly forward: number;
  readonly backward: number;
  readonly optimizer: number;
}

interface Settings {
  readonly device: 'cpu' | 'cuda' | `cuda:${number}`;
  readonly threads: number;
  readonly runs: number;
  readonly python: string;
}

interface Result {
  readonly model: string;
  readonly tokens: number;
  readonly operations: number;
  readonly rnd1: StepTimes;
  readonly torch: StepTimes | null;
  readonly torchVersion: string | null;
}

const part = (times: readonly StepTimes[]): StepTimes => ({
  seconds: median(times.map(({ seconds }) => seconds)),
  forward: median(times.map(({ forward }) => forward)),
  backward: median(times.map(({ backward }) => backward)),
  optimizer: median(times.map(({ optimizer }) => optimizer)),
});

async function measure(
  model: TrainingCase,
  temporary: string,
  { device, threads, runs, python }: Settings,
): Promise<Result> {
  let { folder } = model;
  if (folder === null) {
    folder = join(temporary, model.name);
    await writeCheckpoint(folder, { sizes: model.sizes, seed: 1, shardBytes: 5e9 });
  }
  const batch = randomBatch(model, 1);
  const tokens = model.canvases * model.length;
  const given: TrainingBatch = {
    tokens: Int32Array.from(batch.tokens),
    offsets: Int32Array.from({ length: model.canvases + 1 }, (_, canvas) => canvas * model.length),
    rows: Int32Array.from(batch.rows),
    targets: Int32Array.from(batch.targets),
    weights: new Float32Array(batch.rows.length).fill(1 / batch.rows.length),
  };
  const settings = join(temporary, `${model.name}.json`);
  writeFileSync(
    settings,
    JSON.stringify({ folder, device, threads, length: model.length, learningRate, batch }),
  );
  await using trainer = await Trainer.open(folder, { optimizer: { learningRate }, device, threads });
  const torch = TorchTrainer.open(python, settings);
  try {
    const torchVersion = (await torch?.version()) ?? null;
    const ours: StepTimes[] = [];
    const theirs: StepTimes[] = [];
    for (let run = -2; run < runs; run++) {
      const begin = performance.now();
      const { losses, milliseconds } = await trainer.step(given);
      const seconds = (performance.now() - begin) / 1e3;
      const other = await torch?.step();
      // Both begin with the same weights; a peer that computes something else is no baseline.
      if (run === -2 && other && Math.abs(other.loss / losses.total - 1) > 1e-3)
        throw new Error(`PyTorch's loss is ${other.loss}, not ${losses.total}`);
      if (run < 0) continue;
      const { forward, backward, optimizer } = milliseconds;
      ours.push({
        seconds,
        forward: forward / 1e3,
        backward: backward / 1e3,
        optimizer: optimizer / 1e3,
      });
      if (other) theirs.push(other);
    }
    return {
      model: model.name,
      tokens,
      operations: operationsOfStep(model, batch.rows.length),
      rnd1: part(ours),
      torch: theirs.length > 0 ? part(theirs) : null,
      torchVersion,
    };
  } finally {
    await torch?.close();
  }
}

function rowsOf({ model, tokens, operations, rnd1, torch, torchVersion }: Result, peak: number): string[][] {
  const row = (name: string, times: StepTimes) => [
    `${model} ${name}`,
    formatSeconds(times.seconds),
    formatSeconds(times.forward),
    formatSeconds(times.backward),
    formatSeconds(times.optimizer),
    Math.round(tokens / times.seconds).toLocaleString('en'),
    formatOperations(operations / times.seconds),
    formatShare(operations / times.seconds / peak),
    torch ? `${(torch.seconds / times.seconds).toFixed(2)}×` : nothing,
  ];
  return torch ? [row('rnd1', rnd1), row(torchVersion ?? 'PyTorch', torch)] : [row('rnd1', rnd1)];
}

async function main(): Promise<void> {
  const names = ['models', 'device', 'threads', 'runs', 'json', 'python', 'program'];
  const { values } = parseArgs({
    options: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
  });
  const options = values as Record<string, string | undefined>;
  const count = (name: string, fallback: number) => {
    const value = Number(options[name] ?? fallback);
    if (Number.isSafeInteger(value) && value > 0) return value;
    throw new RangeError(`--${name} must be a positive integer, not '${options[name]}'`);
  };
  const device = trainingDevice(options.device ?? 'cpu');
  const threads = count('threads', availableParallelism());
  const runs = count('runs', 11);
  const cases = trainingCases();
  const chosen = (options.models ?? 'nano,60M').split(',').map((name) => {
    const found = cases.find((each) => each.name === name);
    if (found) return found;
    throw new RangeError(
      `--models must be some of ${cases.map((each) => each.name).join(', ')}, not '${name}'`,
    );
  });
  const program = options.program ?? buildBench();
  const kernel = [
    'norms',
    '--device',
    device,
    '--dtype',
    'f32',
    '--weights',
    'f32',
    '--rows',
    '64',
    '--runs',
    '3',
  ];
  const { instructionSet, peaks } = runBench(program, [...kernel, '--threads', String(threads)]);
  const peak = peaks.matrixOperationsPerSecond;
  const temporary = mkdtempSync(join(tmpdir(), 'rnd1-bench-'));
  const results: Result[] = [];
  try {
    for (const model of chosen)
      results.push(
        await measure(model, temporary, { device, threads, runs, python: options.python ?? 'python3' }),
      );
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
  const unit =
    device === 'cpu' ? `cpu (${instructionSet}), ${threads} threads` : `${device} (${instructionSet})`;
  console.log(`${unit}, f32; peak ${formatOperations(peak)}\n`);
  const header = [
    'model',
    'step',
    'forward',
    'backward',
    'optimizer',
    'tokens/s',
    'rate',
    'of peak',
    'PyTorch/this',
  ];
  console.log(
    formatTable(
      header,
      results.flatMap((result) => rowsOf(result, peak)),
    ),
  );
  if (options.json)
    writeJson(options.json, {
      bench: 'train',
      ...circumstances(device),
      device,
      instructionSet,
      threads,
      peaks,
      results,
    });
}

runMain(main);
