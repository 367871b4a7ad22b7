/**
 * Whole forward passes with all logits: medians over several runs, for canvases of several lengths.
 *
 *     npx tsx bench/step.ts [--model FOLDER] [--dtype bf16] [--threads N] [--lengths 64,256] [--runs 5]
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { type DType, RND1 } from '../lib';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    dtype: { type: 'string', default: 'auto' },
    threads: { type: 'string', default: String(availableParallelism()) },
    lengths: { type: 'string', default: '64,256' },
    runs: { type: 'string', default: '5' },
  },
});

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}

/** Multiply-adds × 2 of one pass: projections, the experts a token visits, attention, the head. */
function operations(length: number, model: RND1): number {
  const c = model.config.model;
  const heads = c.heads * c.headDim;
  const perToken =
    c.hidden * (heads * 2 + 2 * c.keyValueHeads * c.headDim) +
    c.hidden * c.experts +
    3 * c.expertsPerToken * c.expertWidth * c.hidden +
    2 * length * heads;
  return 2 * length * (c.layers * perToken + c.hidden * c.vocabulary);
}

async function main(): Promise<void> {
  const started = performance.now();
  const model = await RND1.load(values.model, {
    dtype: values.dtype as DType,
    threads: Number(values.threads),
  });
  const { device, instructionSet, threads, dtype, weightBytes } = model.info;
  console.log(
    `${device} (${instructionSet}), ${threads} threads, ${dtype}, ${(weightBytes / 1e9).toFixed(2)} GB of weights, ` +
      `loaded in ${Math.round(performance.now() - started)} ms`,
  );
  for (const length of values.lengths.split(',').map(Number)) {
    const tokens = Int32Array.from({ length }, (_, i) => (i * 7919 + 13) % model.config.model.vocabulary);
    await model.forward(tokens);
    const seconds: number[] = [];
    for (let run = 0; run < Number(values.runs); run++) {
      const start = performance.now();
      await model.forward(tokens);
      seconds.push((performance.now() - start) / 1000);
    }
    const middle = median(seconds);
    console.log(
      `${String(length).padStart(5)} positions: median ${middle.toFixed(4)} s, ` +
        `${(operations(length, model) / middle / 1e9).toFixed(1)} GFLOP/s, ${(length / middle).toFixed(0)} positions/s`,
    );
  }
  await model.dispose();
}

void main();
