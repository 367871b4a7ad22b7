/**
 * Whole steps: forward pass, scores, selection. Two canvases: distinct random tokens, all scored; and an eighth random
 * tokens, the rest masks, only these scored. `--canvases` puts several of them into one step.
 *
 *     npx tsx bench/step.ts [--model FOLDER] [--device cuda:0] [--dtype bf16] [--threads N] [--mmap | --no-mmap]
 *         [--lengths 64,256] [--canvases 1] [--runs 5] [--llama FOLDER] [--json FILE]
 *
 * The bytes are those of the weights that the step must read; bench/make-checkpoint.ts writes a model to measure.
 * `--dtype bf16,q8` measures one after the other. `--llama` names the folder of a harness for llama.cpp
 * (bench/support/llama.ts): its forward passes, with all logits, alternate with the steps.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { type Device, DiffusionLM, type DType } from '../lib';
import { measurePeaks, measureSteps, type Peer, type StepFigure } from '../lib/bench/measure';
import { type Peaks, peaksFor, ratesOf } from '../lib/bench/rates';
import {
  formatBytes,
  formatPeaks,
  formatSeconds,
  formatTable,
  peerCells,
  rateCells,
  rateColumns,
} from '../lib/bench/units';
import { LlamaHarness } from './support/llama';
import { runMain } from './support/main';
import { circumstances, writeJson } from './support/record';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    device: { type: 'string', default: 'cpu' },
    dtype: { type: 'string', default: 'auto' },
    threads: { type: 'string', default: String(availableParallelism()) },
    mmap: { type: 'boolean', default: false },
    'no-mmap': { type: 'boolean', default: false },
    lengths: { type: 'string', default: '64,256' },
    canvases: { type: 'string', default: '1' },
    runs: { type: 'string', default: '5' },
    effort: { type: 'string', default: '1' },
    llama: { type: 'string' },
    json: { type: 'string' },
  },
});

function count(name: 'threads' | 'canvases' | 'runs' | 'lengths', text: string = values[name]): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RangeError(`--${name} must be a positive integer, not '${text}'`);
}

function peerFor(model: DiffusionLM, dtype: string): Peer | undefined {
  if (!values.llama) return undefined;
  if (!values.model) throw new RangeError('--llama needs --model, after which the GGUF file is named');
  const weights = dtype === 'auto' ? model.info.weightDtype : dtype;
  return new LlamaHarness(values.llama, values.model, weights, count('threads'));
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
    ...(values.llama ? ['llama.cpp', 'ratio'] : []),
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
    ...(values.llama ? peerCells(figure.seconds, figure.peerSeconds) : []),
  ]);
  console.log(`\n${formatTable(header, rows)}`);
}

/** Loads the model with one dtype, measures it and prints the table. */
async function bench(dtype: string): Promise<unknown> {
  const started = performance.now();
  const model = await DiffusionLM.load(values.model, {
    device: values.device as Device,
    dtype: dtype as DType,
    threads: count('threads'),
    mmap: values['no-mmap'] ? false : values.mmap || undefined,
  });
  try {
    const { device, instructionSet, threads, weightDtype, weightBytes, mapped } = model.info;
    const loaded = Math.round(performance.now() - started);
    const computeDtype = model.info.dtype;
    const peaks = peaksFor(weightDtype, await measurePeaks(model, Number(values.effort)));
    const where =
      device === 'cpu' ? `cpu (${instructionSet}), ${threads} threads` : `${device} (${instructionSet})`;
    console.log(`step: ${where}, compute dtype ${computeDtype}, ${weightDtype} weights`);
    console.log(
      `in this run: ${formatPeaks(peaks)}; ${formatBytes(weightBytes)} of ${mapped ? 'mapped ' : ''}weights, loaded in ${loaded} ms`,
    );
    const figures = await measureSteps(model, {
      lengths: values.lengths.split(',').map((length) => count('lengths', length)),
      canvases: count('canvases'),
      runs: count('runs'),
      peer: peerFor(model, dtype),
    });
    print(figures, peaks);
    return {
      bench: 'step',
      ...circumstances(device),
      ...{
        device,
        instructionSet,
        threads,
        dtype: computeDtype,
        weights: weightDtype,
        weightBytes,
        mapped,
        peaks,
      },
      figures: figures.map((figure) => ({ ...figure, ...ratesOf(figure, peaks) })),
    };
  } finally {
    await model.dispose();
  }
}

async function main(): Promise<void> {
  const records: unknown[] = [];
  for (const dtype of values.dtype.split(',')) records.push(await bench(dtype));
  if (values.json) writeJson(values.json, records.length === 1 ? records[0] : records);
}

runMain(main);
