/**
 * A model that fills the memory: time to load, time of its steps (the first one reads the weights from disk), and
 * resident memory.
 *
 *     npx tsx bench/large.ts FOLDER [--length 128] [--steps 6] [--threads N] [--json FILE]
 *
 * An eighth of the canvas is random tokens; the rest is masked, and unmasked in `--steps` steps.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { DiffusionLM } from '../lib';
import { canvasKinds } from '../lib/bench/canvases';
import { median } from '../lib/bench/rates';
import { formatBytes, formatSeconds, nothing } from '../lib/bench/units';
import { runMain } from './support/main';
import { circumstances, writeJson } from './support/record';
import { residentBytes } from './support/resident';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    length: { type: 'string', default: '128' },
    steps: { type: 'string', default: '6' },
    threads: { type: 'string', default: String(availableParallelism()) },
    json: { type: 'string' },
  },
});

function count(name: 'length' | 'steps' | 'threads'): number {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RangeError(`--${name} must be a positive integer, not '${values[name]}'`);
}

async function main(): Promise<void> {
  const [folder, ...others] = positionals;
  if (folder === undefined || others.length > 0)
    throw new RangeError('Give one argument, the folder of a checkpoint.');
  let start = performance.now();
  const elapsed = () => {
    const now = performance.now();
    const seconds = (now - start) / 1000;
    start = now;
    return seconds;
  };
  const model = await DiffusionLM.load(folder, { device: 'cpu', threads: count('threads'), mmap: true });
  try {
    const loadSeconds = elapsed();
    const { instructionSet, threads, dtype, weightDtype, weightBytes } = model.info;
    console.log(
      `cpu (${instructionSet}), ${threads} threads, compute dtype ${dtype}, ${weightDtype} weights`,
    );
    console.log(`${formatBytes(weightBytes)} of weights, loaded in ${formatSeconds(loadSeconds)}`);
    const canvas = canvasKinds(model, count('length'))[1]?.make(1);
    if (canvas === undefined) throw new Error('there is no canvas with masks');
    const { tokens, masked } = canvas;
    const steps: number[] = [];
    elapsed();
    for await (const frame of model.denoiseTokens({
      canvas: tokens,
      masked,
      steps: count('steps'),
      seed: 1,
    })) {
      steps.push(elapsed());
      console.log(
        `step ${frame.step}: ${formatSeconds(steps.at(-1) ?? 0)}, ${frame.committed.length} tokens committed`,
      );
    }
    const later = steps.slice(1);
    const memory = residentBytes();
    console.log(
      `${count('length')} positions: first step ${formatSeconds(steps[0] ?? 0)}, median of the others ${later.length > 0 ? formatSeconds(median(later)) : nothing}`,
    );
    if (memory !== null) {
      console.log(`resident: ${formatBytes(memory.own)} private, ${formatBytes(memory.files)} of files`);
    }
    if (values.json) {
      writeJson(values.json, {
        bench: 'large',
        ...circumstances('cpu'),
        ...{ folder, instructionSet, threads, dtype, weights: weightDtype, weightBytes },
        ...{ loadSeconds, length: count('length'), steps, memory },
      });
    }
  } finally {
    await model.dispose();
  }
}

runMain(main);
