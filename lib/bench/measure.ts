import { isCausal } from '../families/traits';
import type { DiffusionLM } from '../index';
import { loadBinding } from '../runtime/binding';
import { type BenchCanvas, canvasKinds, randomTokens } from './canvases';
import { median, type Peaks } from './rates';
import { type StepCost, stepCost } from './step-cost';

/** A program to compare with. */
export interface Peer {
  readonly name: string;
  /** Seconds of one forward pass over so many tokens. */
  run(length: number, signal?: AbortSignal): Promise<number>;
}

/** Steps of one kind and length. */
export interface StepFigure extends StepCost {
  readonly case: string;
  readonly length: number;
  readonly canvases: number;
  /** Positions whose tokens are predicted, of all canvases. */
  readonly scored: number;
  /** Median of the runs. */
  readonly seconds: number;
  readonly shortestSeconds: number;
  readonly longestSeconds: number;
  /** Median of the peer's passes over as many tokens, for all canvases. */
  readonly peerSeconds?: number;
}

export interface MeasureOptions {
  readonly lengths: readonly number[];
  /** Canvases in one step. @default 1 */
  readonly canvases?: number;
  readonly runs: number;
  /** Its passes alternate with the steps. */
  readonly peer?: Peer;
  readonly signal?: AbortSignal;
  /** Called before each run. */
  readonly onRun?: (what: string) => void;
}

/** The device's peaks, measured on as many threads as the model has. Takes about a second times `effort`. */
export function measurePeaks(model: DiffusionLM, effort = 1): Promise<Peaks> {
  const { device, dtype, threads } = model.info;
  return loadBinding().measurePeaks({ device, dtype, threads, effort });
}

/** Measures steps of a model, each kind of canvas at each length. */
export async function measureSteps(model: DiffusionLM, options: MeasureOptions): Promise<StepFigure[]> {
  const figures: StepFigure[] = [];
  for (const length of options.lengths) figures.push(...(await measureLength(model, length, options)));
  return figures;
}

interface Kind {
  readonly name: string;
  readonly canvases: readonly BenchCanvas[];
  readonly seconds: number[];
}

async function measureLength(
  model: DiffusionLM,
  length: number,
  options: MeasureOptions,
): Promise<StepFigure[]> {
  const { canvases: count = 1, runs, peer, signal, onRun } = options;
  const kinds: Kind[] = canvasKinds(model, length).map(({ name, make }) => ({
    name,
    canvases: Array.from({ length: count }, (_, i) => make(i + 1)),
    seconds: [],
  }));
  const peerSeconds: number[] = [];
  for (let run = 0; run < runs; run++) {
    for (const { name, canvases, seconds } of kinds) {
      onRun?.(`${length} tokens, ${name}: run ${run + 1} of ${runs}`);
      // The peer leaves its weights in the caches, so the first step of every turn is a warm-up.
      if (run === 0 || peer) await step(model, canvases, signal);
      seconds.push(await step(model, canvases, signal));
    }
    if (peer === undefined) continue;
    onRun?.(`${length} tokens, ${peer.name}: run ${run + 1} of ${runs}`);
    peerSeconds.push(await peer.run(length, signal));
  }
  const figures: StepFigure[] = [];
  for (const { name, canvases, seconds } of kinds) {
    const cost = await stepCost(model, canvases);
    figures.push({
      case: name,
      length,
      canvases: count,
      scored: canvases.reduce((sum, { masked }) => sum + masked.length, 0),
      seconds: median(seconds),
      shortestSeconds: Math.min(...seconds),
      longestSeconds: Math.max(...seconds),
      ...cost,
      ...(peer ? { peerSeconds: count * median(peerSeconds) } : {}),
    });
  }
  return figures;
}

/** Seconds of one step over all canvases together; of a causal model, of one forward pass. */
async function step(
  model: DiffusionLM,
  canvases: readonly BenchCanvas[],
  signal?: AbortSignal,
): Promise<number> {
  const start = performance.now();
  if (isCausal(model.config.architecture)) {
    const all = canvases.map(({ tokens, masked }) => ({ tokens, positions: masked }));
    await model.forwardAll(all, { signal });
  } else {
    await Promise.all(
      canvases.map(({ tokens, masked }) =>
        model.generateTokens({ canvas: tokens, masked, steps: 1, seed: 1, signal }),
      ),
    );
  }
  return (performance.now() - start) / 1000;
}

/** Writing with the model's own schedule. */
export interface WritingFigure {
  readonly tokens: number;
  /** Forward passes. */
  readonly forwards: number;
  readonly seconds: number;
}

/**
 * Writes up to `tokens` tokens after `prompt` random ones as the model writes by default, for at most `seconds`: the step
 * that exceeds them is the last.
 */
export async function measureWriting(
  model: DiffusionLM,
  options: {
    prompt: number;
    tokens: number;
    seconds: number;
    signal?: AbortSignal;
    onStep?: (forwards: number) => void;
  },
): Promise<WritingFigure> {
  const { prompt, tokens, seconds, signal, onStep } = options;
  const prefix = randomTokens(model, prompt, 1);
  // A step of the same size first: memory is reserved, and weights are read.
  await model.forward(new Int32Array(prompt + tokens).fill(prefix[0] ?? 0), {
    positions: [0],
    signal,
  });
  const start = performance.now();
  let [forwards, written, elapsed] = [0, 0, 0];
  for await (const frame of model.denoiseTokens({
    prefix,
    maxNewTokens: tokens,
    seed: 1,
    stopAtEos: false,
    signal,
  })) {
    elapsed = (performance.now() - start) / 1000;
    forwards = frame.forwards;
    written += frame.committed.length;
    onStep?.(forwards);
    if (elapsed > seconds) break;
  }
  return { tokens: written, forwards, seconds: elapsed };
}
