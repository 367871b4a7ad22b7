/**
 * Steps with and without key/value caches: rows computed, time per step, tokens per second. Two random models of four
 * layers fill a canvas by blocks of 32: one of LLaDA2-mini's shape, whose cache is exact, and one of RND1's, which
 * computes the whole canvas in the first step of a block only.
 *
 *     npx tsx bench/cache.ts [--device cuda:0] [--dtype bf16] [--weights q4] [--threads N] [--positions 512]
 *         [--steps 8] [--measured 4] [--layers 4] [--vocabulary 32768] [--quick] [--json FILE]
 *
 * `--steps` are those of a block. Only `--measured` blocks run, evenly spread over the canvas; rows and times are those of
 * all blocks and of the measured ones. `--quick` uses tiny models.
 */

import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { median } from '../lib/bench/rates';
import { formatBytes, formatSeconds, formatTable, nothing } from '../lib/bench/units';
import { positions as range } from '../lib/denoising/cached-rows';
import { plainCanvas } from '../lib/denoising/state';
import { type CacheCase, cacheCases, type Pass } from './support/cache-schedules';
import { greedyPlan } from './support/greedy-plan';
import { runMain } from './support/main';
import { openRandomSession, randomWeights, type Session } from './support/random-session';
import { circumstances, writeJson } from './support/record';

type Cache = Awaited<ReturnType<Session['createCache']>>;
type StepResult = Awaited<ReturnType<Session['step']>>[number];

interface CacheFigure {
  readonly model: string;
  readonly cache: 'none' | CacheCase['cache'];
  /** Rows of all blocks, and steps. */
  readonly rows: number;
  readonly steps: number;
  /** Median of the measured steps. */
  readonly secondsPerStep: number;
  /** Of the measured blocks. */
  readonly tokensPerSecond: number;
  readonly cacheBytes: number;
}

/** The block of LLaDA2's attention mask. */
const block = 32;

const { values } = parseArgs({
  options: {
    device: { type: 'string', default: 'cpu' },
    dtype: { type: 'string', default: 'bf16' },
    weights: { type: 'string' },
    threads: { type: 'string', default: String(availableParallelism()) },
    positions: { type: 'string' },
    steps: { type: 'string', default: '8' },
    measured: { type: 'string', default: '4' },
    layers: { type: 'string', default: '4' },
    vocabulary: { type: 'string' },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
  },
});

function count(
  name: Exclude<keyof typeof values, 'quick' | 'json'>,
  byDefault = '',
  quick = byDefault,
): number {
  const text = values[name] ?? (values.quick ? quick : byDefault);
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  throw new RangeError(`--${name} must be a positive integer, not '${text}'`);
}

function word<T extends string>(name: 'dtype' | 'weights', text: string, words: readonly T[]): T {
  if (words.includes(text as T)) return text as T;
  throw new RangeError(`--${name} must be one of ${words.join(', ')}, not '${text}'`);
}

const positions = count('positions', '512', '128');
const vocabulary = count('vocabulary', '32768', '300');
const [stepsPerBlock, measured, layers, threads] = [
  count('steps'),
  count('measured'),
  count('layers'),
  count('threads'),
];
if (positions % block !== 0 || block % stepsPerBlock !== 0) {
  throw new RangeError(`--positions must be a multiple of ${block}, and ${block} of --steps`);
}
const dtype = word('dtype', values.dtype, ['f32', 'f16', 'bf16']);
const weights = word('weights', values.weights ?? (values.device === 'cpu' ? 'q4' : 'bf16'), randomWeights);

const blocks = positions / block;
const perStep = block / stepsPerBlock;

const passes = ({ pass }: CacheCase, index: number): Pass[] =>
  Array.from({ length: stepsPerBlock }, (_, round) =>
    pass(index * block, (index + 1) * block, round, positions),
  );

/** The rows of a whole run. */
function rowsOf(model: CacheCase, cached: boolean): number {
  const all = Array.from({ length: blocks }, (_, index) => passes(model, index)).flat();
  return all.reduce((sum, { rows, length }) => sum + (cached ? rows.length : length), 0);
}

/** Commits the best positions of a block in each step, and returns the results and seconds. */
async function fillBlock(session: Session, model: CacheCase, index: number, store: Cache | null) {
  const first = index * block;
  const tokens = Int32Array.from({ length: positions }, (_, i) => (i * 7919 + 11) % vocabulary);
  let masked = range(first, first + block);
  // What earlier blocks have left in the cache.
  const before = passes(model, index)[0]?.rows[0] ?? 0;
  if (store !== null && before > 0) {
    const request = { logits: false, hidden: false, routing: false, forcedExperts: null, block: null };
    const cache = { store, rows: range(0, before) };
    await session.forward(
      [{ ...request, tokens: tokens.slice(0, before), rows: Int32Array.of(0), cache }],
      null,
    );
  }
  const results: StepResult[] = [];
  const seconds: number[] = [];
  for (const { length, rows } of passes(model, index)) {
    const plan = greedyPlan(masked.length - perStep);
    const cache = store && { store, rows };
    const start = performance.now();
    const canvas = { ...plainCanvas, tokens: tokens.slice(0, length), masked, plan, cache };
    const [result] = await session.step([canvas], null, null);
    seconds.push((performance.now() - start) / 1000);
    const { predicted, committed } = result as StepResult;
    for (const position of committed) tokens[position] = predicted[masked.indexOf(position)] as number;
    masked = masked.filter((position) => !committed.includes(position));
    results.push(result as StepResult);
  }
  return { results, seconds };
}

const sameBits = (a: StepResult, b: StepResult) =>
  (['committed', 'predicted', 'confidence', 'entropy'] as const).every((name) =>
    Buffer.from(a[name].buffer).equals(Buffer.from(b[name].buffer)),
  );

async function measure(model: CacheCase): Promise<CacheFigure[]> {
  const { architecture, name } = model;
  const session = await openRandomSession({ architecture, device: values.device, dtype, weights, threads });
  const store = await session.createCache(positions);
  const seconds = { none: [] as number[], cached: [] as number[] };
  const sample = Array.from(
    { length: Math.min(measured, blocks) },
    (_, i) => Math.floor(((i + 1) * blocks) / Math.min(measured, blocks)) - 1,
  );
  try {
    await fillBlock(session, model, 0, null);
    for (const index of sample) {
      const plain = await fillBlock(session, model, index, null);
      const cached = await fillBlock(session, model, index, store);
      seconds.none.push(...plain.seconds);
      seconds.cached.push(...cached.seconds);
      const differ = plain.results.findIndex(
        (result, i) => !sameBits(result, cached.results[i] as StepResult),
      );
      if (model.cache === 'exact' && differ >= 0) {
        throw new Error(
          `${name}, block ${index}, step ${differ}: the results differ from those without a cache`,
        );
      }
    }
    const sum = (list: readonly number[]) => list.reduce((total, value) => total + value, 0);
    const figure = (cache: CacheFigure['cache'], times: readonly number[]): CacheFigure => ({
      model: name,
      cache,
      rows: rowsOf(model, cache !== 'none'),
      steps: blocks * stepsPerBlock,
      secondsPerStep: median(times),
      tokensPerSecond: (sample.length * block) / sum(times),
      cacheBytes: cache === 'none' ? 0 : store.bytes,
    });
    return [figure('none', seconds.none), figure(model.cache, seconds.cached)];
  } finally {
    store.dispose();
    await session.dispose();
  }
}

function print(figures: readonly CacheFigure[]): void {
  const header = [
    'model',
    'cache',
    'rows',
    'rows/step',
    'time/step',
    'tokens/s',
    'fewer rows',
    'faster',
    'memory',
  ];
  const rows = figures.map((figure) => {
    const plain = figures.find(
      ({ model, cache }) => model === figure.model && cache === 'none',
    ) as CacheFigure;
    const ratio = (value: number) => (figure === plain ? nothing : `${value.toFixed(1)} ×`);
    return [
      figure.model,
      figure.cache,
      String(figure.rows),
      (figure.rows / figure.steps).toFixed(1),
      formatSeconds(figure.secondsPerStep),
      figure.tokensPerSecond.toFixed(1),
      ratio(plain.rows / figure.rows),
      ratio(figure.tokensPerSecond / plain.tokensPerSecond),
      figure === plain ? nothing : formatBytes(figure.cacheBytes),
    ];
  });
  console.log(formatTable(header, rows));
}

async function main(): Promise<void> {
  console.log(
    `cache: ${values.device}, ${threads} threads, compute dtype ${dtype}, ${weights} weights, ${layers} layers; ` +
      `${positions} positions in blocks of ${block}, ${stepsPerBlock} steps each`,
  );
  const figures: CacheFigure[] = [];
  for (const model of cacheCases({ layers, vocabulary, quick: values.quick }))
    figures.push(...(await measure(model)));
  print(figures);
  if (values.json === undefined) return;
  const { device } = values;
  const sizes = { layers, positions, block, stepsPerBlock };
  writeJson(values.json, {
    bench: 'cache',
    ...circumstances(device),
    device,
    threads,
    dtype,
    weights,
    ...sizes,
    figures,
  });
}

runMain(main);
