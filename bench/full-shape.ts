/**
 * LLaDA-MoE-7B-A1B at its full size with random weights: time to load, time of a step over a canvas of which an eighth
 * is text, and memory. Needs about 6 GB in q4.
 *
 *     npx tsx bench/full-shape.ts [--weights q4] [--dtype bf16] [--length 128] [--runs 5] [--threads N] [--quick]
 *         [--json FILE]
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { median } from '../lib/bench/rates';
import { formatBytes, formatSeconds, nothing } from '../lib/bench/units';
import { plainCanvas } from '../lib/denoising/state';
import { lladaMoe } from '../lib/families/llada-moe';
import { Fields } from '../lib/support/fields';
import { greedyPlan } from './support/greedy-plan';
import { runMain } from './support/main';
import { openRandomSession, randomWeights } from './support/random-session';
import { circumstances, writeJson } from './support/record';
import { residentBytes } from './support/resident';

const { values } = parseArgs({
  options: {
    weights: { type: 'string', default: 'q4' },
    dtype: { type: 'string', default: 'bf16' },
    length: { type: 'string', default: '128' },
    runs: { type: 'string', default: '5' },
    threads: { type: 'string', default: String(availableParallelism()) },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});

function count(name: 'length' | 'runs' | 'threads'): number {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RangeError(`--${name} must be a positive integer, not '${values[name]}'`);
}

function word<T extends string>(name: 'dtype' | 'weights', words: readonly T[]): T {
  if (words.includes(values[name] as T)) return values[name] as T;
  throw new RangeError(`--${name} must be one of ${words.join(', ')}, not '${values[name]}'`);
}

/** The published config.json's sizes; `--quick`: tiny ones, for tests of the script. */
const config = {
  model_type: 'llada',
  architectures: ['LLaDAMoEModelLM'],
  hidden_size: values.quick ? 64 : 2048,
  num_hidden_layers: values.quick ? 2 : 16,
  num_attention_heads: values.quick ? 4 : 16,
  num_key_value_heads: values.quick ? 4 : 16,
  expert_intermediate_size: values.quick ? 32 : 1024,
  dense_intermediate_size: values.quick ? 64 : 8192,
  num_experts: values.quick ? 16 : 64,
  num_experts_per_tok: values.quick ? 4 : 8,
  qk_layernorm: true,
  rope_theta: 50_000,
  rms_norm_eps: 1e-5,
  max_position_embeddings: 8192,
  vocab_size: values.quick ? 384 : 157_184,
};

async function main(): Promise<void> {
  const architecture = lladaMoe.read(new Fields('config.json', config));
  const [length, threads] = [count('length'), count('threads')];
  const [dtype, weights] = [word('dtype', ['f32', 'f16', 'bf16']), word('weights', randomWeights)];
  let start = performance.now();
  const session = await openRandomSession({ architecture, device: 'cpu', dtype, weights, threads });
  const loadSeconds = (performance.now() - start) / 1000;
  const { instructionSet, weightBytes } = session.info;
  console.log(`cpu (${instructionSet}), ${threads} threads, compute dtype ${dtype}, ${weights} weights`);
  console.log(`${formatBytes(weightBytes)} of weights, loaded in ${formatSeconds(loadSeconds)}`);

  const tokens = Int32Array.from({ length }, (_, i) => (i * 7919 + 11) % architecture.vocabulary);
  const first = Math.floor(length / 8);
  const masked = Int32Array.from({ length: length - first }, (_, i) => first + i);
  const plan = greedyPlan(0);
  const seconds: number[] = [];
  for (let run = 0; run < count('runs') + 1; run++) {
    start = performance.now();
    await session.step([{ ...plainCanvas, tokens, masked, plan }], null, null);
    seconds.push((performance.now() - start) / 1000);
  }
  // The first one reserves memory.
  const secondsPerStep = median(seconds.slice(1));
  const resident = residentBytes();
  console.log(
    `a step of ${length} positions, ${masked.length} masked: ${formatSeconds(secondsPerStep)} (median of ${seconds.length - 1})`,
  );
  console.log(`resident memory: ${resident === null ? nothing : formatBytes(resident.own)}`);
  await session.dispose();
  const figures = [{ length, masked: masked.length, secondsPerStep, loadSeconds, weightBytes }];
  const settings = { bench: 'full-shape', device: 'cpu', instructionSet, threads, dtype, weights };
  if (values.json) writeJson(values.json, { ...settings, ...circumstances('cpu'), figures });
}

runMain(main);
