/**
 * The cost of quantization: bytes, step time, and the distance of predictions from those of the checkpoint's own dtype,
 * as KL divergence, agreement of the most probable token and error of the logits. Default: the embedded model.
 *
 *     npx tsx bench/quality.ts [--model FOLDER]… [--dtypes f32,q8,q5m,q4m,q4] [--quantized FOLDER]… [--threads N] [--runs 5]
 *         [--canvases 24] [--questions 60] [--json FILE]
 *
 * `--quantized` adds checkpoints that `rnd1 quantize` made from the model; only one model may then be named.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { DiffusionLM, type DType, embeddedFolder } from '../lib';
import type { BenchCanvas } from '../lib/bench/canvases';
import { median } from '../lib/bench/rates';
import { formatBytes, formatSeconds, formatTable, nothing } from '../lib/bench/units';
import { expertsOf } from '../lib/families/traits';
import { runMain } from './support/main';
import { canvasesFor, type Distance, distance, type Opinion, opinionOf, questions } from './support/quality';
import { circumstances, writeJson } from './support/record';

const { values } = parseArgs({
  options: {
    model: { type: 'string', multiple: true, default: [embeddedFolder] },
    dtypes: { type: 'string', default: 'f32,q8,q5m,q4m,q4' },
    quantized: { type: 'string', multiple: true, default: [] },
    threads: { type: 'string', default: String(availableParallelism()) },
    runs: { type: 'string', default: '5' },
    canvases: { type: 'string', default: '24' },
    questions: { type: 'string', default: '60' },
    json: { type: 'string' },
  },
});

function count(name: 'threads' | 'runs' | 'canvases' | 'questions'): number {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RangeError(`--${name} must be a positive integer, not '${values[name]}'`);
}

interface Quality {
  readonly weights: string;
  readonly bytes: number;
  /** Median time of one step over one canvas. */
  readonly seconds: number;
  /** Distance from the checkpoint's own dtype; null for that dtype itself. */
  readonly distance: Distance | null;
  /** Share of questions answered correctly; null for models other than the embedded one. */
  readonly right: number | null;
}

/** Results that the others are compared with. */
interface Reference {
  readonly canvases: readonly BenchCanvas[];
  readonly opinion: Opinion;
}

async function timeOf(model: DiffusionLM, canvases: readonly BenchCanvas[]): Promise<number> {
  const seconds: number[] = [];
  for (let run = 0; run <= count('runs'); run++) {
    const { tokens, masked } = canvases[run % canvases.length] as BenchCanvas;
    const start = performance.now();
    await model.generateTokens({ canvas: tokens, masked, steps: 1, seed: 1 });
    // The first run is a warm-up.
    if (run > 0) seconds.push((performance.now() - start) / 1000);
  }
  return median(seconds);
}

async function rightShare(model: DiffusionLM): Promise<number | null> {
  if (model.info.folder !== embeddedFolder) return null;
  const asked = questions(count('questions'), 2);
  const answers = await Promise.all(
    asked.map(({ text }) => model.generate(text, { maxNewTokens: 32, steps: 32 })),
  );
  return asked.filter(({ check }, i) => check(answers[i]?.text.trim() ?? '')).length / asked.length;
}

/** Measures the model with one dtype; without a reference, its results become the reference. */
async function measure(
  folder: string,
  dtype: DType,
  reference: Reference | null,
): Promise<{ quality: Quality; reference: Reference }> {
  const model = await DiffusionLM.load(folder, { device: 'cpu', dtype, threads: count('threads') });
  try {
    const canvases = reference?.canvases ?? (await canvasesFor(model, count('canvases')));
    const opinion = await opinionOf(model, canvases);
    const { architecture } = model.config;
    const { vocabulary } = architecture;
    const expertsPerToken = expertsOf(architecture)[0]?.expertsPerToken ?? 0;
    const { dtype: computeDtype, weightDtype, weightBytes } = model.info;
    const quality: Quality = {
      weights: weightDtype.startsWith('q') ? weightDtype : computeDtype,
      bytes: weightBytes,
      seconds: await timeOf(model, canvases),
      distance: reference && distance(reference.opinion, opinion, vocabulary, expertsPerToken),
      right: await rightShare(model),
    };
    return { quality, reference: { canvases, opinion } };
  } finally {
    await model.dispose();
  }
}

const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

function print(folder: string, qualities: readonly Quality[]): void {
  const header = ['', 'bytes', 'step', 'KL', 'same token', 'NMSE of logits', 'same experts', 'answers right'];
  const rows = qualities.map(({ weights, bytes, seconds, distance, right }) => [
    weights,
    formatBytes(bytes),
    formatSeconds(seconds),
    distance === null ? nothing : distance.kl.toExponential(1),
    distance === null ? nothing : percent(distance.agreement),
    distance === null ? nothing : distance.nmse.toExponential(1),
    distance === null ? nothing : percent(distance.routes),
    right === null ? nothing : percent(right),
  ]);
  console.log(`\n${folder}\n${formatTable(header, rows)}`);
}

async function main(): Promise<void> {
  const record: object[] = [];
  for (const folder of values.model) {
    const own = await measure(folder, 'auto', null);
    const qualities = [own.quality];
    for (const dtype of values.dtypes.split(',')) {
      qualities.push((await measure(folder, dtype as DType, own.reference)).quality);
    }
    for (const other of values.quantized) {
      const { quality } = await measure(other, 'auto', own.reference);
      qualities.push({ ...quality, weights: `${quality.weights} of ${other}` });
    }
    print(folder, qualities);
    record.push({ folder, qualities });
  }
  if (values.json) writeJson(values.json, { bench: 'quality', ...circumstances('cpu'), models: record });
}

runMain(main);
