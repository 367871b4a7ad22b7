/**
 * Whole steps: forward pass, scores, selection. Two canvases: distinct random tokens, all scored; and an eighth random
 * tokens, masks in the rest, which are scored. `--canvases` puts several of them into one step.
 *
 *     npx tsx bench/step.ts [--model FOLDER] [--device cuda:0] [--dtype bf16] [--threads N] [--lengths 64,256]
 *         [--canvases 1] [--runs 5] [--json FILE]
 *
 * The bytes are those of the weights that the step must read; bench/make-checkpoint.ts writes a model to read.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { type Device, type DType, RND1 } from '../lib';
import { type BenchCanvas, canvasKinds } from './support/canvases';
import { median, type Peaks, ratesOf } from './support/figures';
import { runMain } from './support/main';
import { buildBench, runBench } from './support/program';
import { circumstances, writeJson } from './support/record';
import { type StepCost, stepCost } from './support/step-cost';
import {
  formatBytes,
  formatPeaks,
  formatSeconds,
  formatTable,
  rateCells,
  rateColumns,
} from './support/table';

interface StepFigure extends StepCost {
  readonly case: string;
  readonly length: number;
  readonly canvases: number;
  readonly scored: number;
  readonly seconds: number;
}

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    device: { type: 'string', default: 'cpu' },
    dtype: { type: 'string', default: 'auto' },
    threads: { type: 'string', default: String(availableParallelism()) },
    lengths: { type: 'string', default: '64,256' },
    canvases: { type: 'string', default: '1' },
    runs: { type: 'string', default: '5' },
    effort: { type: 'string', default: '1' },
    json: { type: 'string' },
    program: { type: 'string' },
  },
});

function count(name: 'threads' | 'canvases' | 'runs' | 'lengths', text: string = values[name]): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RangeError(`--${name} must be a positive integer, not '${text}'`);
}

/** Seconds of one step over all canvases together. */
async function step(model: RND1, canvases: readonly BenchCanvas[]): Promise<number> {
  const start = performance.now();
  await Promise.all(
    canvases.map(({ tokens, masked }) => model.generateTokens({ canvas: tokens, masked, steps: 1, seed: 1 })),
  );
  return (performance.now() - start) / 1000;
}

async function measure(model: RND1): Promise<StepFigure[]> {
  const figures: StepFigure[] = [];
  for (const length of values.lengths.split(',').map((text) => count('lengths', text))) {
    for (const kind of canvasKinds(model, length)) {
      const canvases = Array.from({ length: count('canvases') }, (_, i) => kind.make(i + 1));
      const cost = await stepCost(model, canvases);
      await step(model, canvases);
      const seconds: number[] = [];
      for (let run = 0; run < count('runs'); run++) seconds.push(await step(model, canvases));
      const scored = canvases.reduce((sum, { masked }) => sum + masked.length, 0);
      const place = { case: kind.name, length, canvases: canvases.length, scored };
      figures.push({ ...place, seconds: median(seconds), ...cost });
    }
  }
  return figures;
}

function print(figures: readonly StepFigure[], peaks: Peaks): void {
  const header = [
    'case',
    'length',
    'canvases',
    'experts hit',
    'must read',
    'time',
    'tokens/s',
    ...rateColumns,
  ];
  const rows = figures.map((figure) => [
    figure.case,
    String(figure.length),
    String(figure.canvases),
    `${figure.expertsHit} of ${figure.experts}`,
    formatBytes(figure.bytes),
    formatSeconds(figure.seconds),
    ((figure.length * figure.canvases) / figure.seconds).toFixed(0),
    ...rateCells(ratesOf(figure, peaks)),
  ]);
  console.log(`\n${formatTable(header, rows)}`);
}

async function main(): Promise<void> {
  const started = performance.now();
  const model = await RND1.load(values.model, {
    device: values.device as Device,
    dtype: values.dtype as DType,
    threads: count('threads'),
  });
  try {
    const { device, instructionSet, threads, dtype, weightDtype, weightBytes } = model.info;
    const loaded = Math.round(performance.now() - started);
    const args = ['peaks', '--device', device, '--dtype', dtype, '--threads', String(threads)];
    const { peaks } = runBench(values.program ?? buildBench(), [...args, '--effort', values.effort]);
    const where =
      device === 'cpu' ? `cpu (${instructionSet}), ${threads} threads` : `${device} (${instructionSet})`;
    console.log(`step: ${where}, ${dtype} on ${weightDtype} weights`);
    console.log(
      `in this run: ${formatPeaks(peaks)}; ${formatBytes(weightBytes)} of weights, loaded in ${loaded} ms`,
    );
    const figures = await measure(model);
    print(figures, peaks);
    if (values.json) {
      writeJson(values.json, {
        bench: 'step',
        ...circumstances(device),
        ...{ device, instructionSet, threads, dtype, weights: weightDtype, weightBytes, peaks },
        figures: figures.map((figure) => ({ ...figure, ...ratesOf(figure, peaks) })),
      });
    }
  } finally {
    await model.dispose();
  }
}

runMain(main);
