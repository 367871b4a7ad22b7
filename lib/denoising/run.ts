import type { StopAtEos, TokenFrame, TokenOptions, TokenResult } from '../api/types';
import type { ModelConfig } from '../checkpoint/config';
import { familyNamed } from '../families';
import type { Preset } from '../families/family';
import { blockOf, isCausal } from '../families/traits';
import type { OpenCache } from '../runtime/caches';
import { bannedList, booleanOption, callbackOption, quote, tokenList, wordOption } from '../support/validate';
import { writeInOrder } from './autoregression';
import { wholeBlocks } from './blocks';
import type { CacheRule } from './cache-option';
import type { Canvas, CanvasModel } from './canvas';
import { denoise } from './loop';
import type { Denoising, Stepper } from './pass';
import type { Sampling } from './sampling-options';

/** One run of the loop, ready to start. */
export type Run = Omit<Denoising, 'sampling' | 'attentionBlock' | 'modelShift'> & {
  readonly sampling: Sampling;
};

/** The sampler of a model's family. */
export const presetOf = ({ family }: Pick<ModelConfig, 'family'>): Preset => familyNamed(family).preset;

/** The run of a text call; `banned` besides what the options ban. */
export function textRun(
  canvas: Canvas,
  { banned, ...given }: Pick<Run, 'banned' | 'sampling' | 'stopAtEos' | 'cache'>,
  model: CanvasModel,
): Run {
  return {
    canvas,
    ...given,
    ...tokenRules(canvas, given.sampling, model, { banned, zeroed: new Int32Array() }),
    cutAtEos: false,
    shift: null,
    draws: null,
    wholeFrames: false,
  };
}

/** The run of a call on tokens. */
export function tokenRun(
  canvas: Canvas,
  { sampling, cache }: { readonly sampling: Sampling; readonly cache: CacheRule },
  options: TokenOptions,
  model: CanvasModel,
): Run {
  const { vocabulary, causal } = model;
  const { draws, predictionShift } = options;
  callbackOption('draws', draws);
  if (predictionShift !== undefined && predictionShift !== 0 && predictionShift !== 1) {
    throw new RangeError(`predictionShift must be 0 or 1, not ${quote(predictionShift)}`);
  }
  const given = {
    banned: bannedList(options.banned, vocabulary),
    zeroed: tokenList('zeroConfidence', options.zeroConfidence ?? [], vocabulary),
  };
  return {
    canvas,
    sampling,
    cache,
    stopAtEos: readStop(options.stopAtEos, causal),
    ...tokenRules(canvas, sampling, model, given),
    cutAtEos: booleanOption('cutAtEos', options.cutAtEos, false),
    shift: predictionShift ?? null,
    draws: draws ?? null,
    wholeFrames: true,
  };
}

/** Validates `stopAtEos`. */
export function readStop(value: StopAtEos | undefined, fallback: StopAtEos): StopAtEos {
  if (typeof value === 'string')
    return wordOption<'commit' | 'block'>('stopAtEos', value, ['commit', 'block']);
  return value === undefined ? fallback : booleanOption('stopAtEos', value, false);
}

function tokenRules(
  { special }: Canvas,
  { suppressEos, zeroEosConfidence }: Sampling,
  { ends }: CanvasModel,
  { banned, zeroed }: Pick<Run, 'banned' | 'zeroed'>,
): Pick<Run, 'banned' | 'zeroed'> {
  const union = (ids: Int32Array, more: readonly number[]) => Int32Array.from(new Set([...ids, ...more]));
  const suppressed = suppressEos === 'first' ? special.eos.slice(0, 1) : special.eos;
  return {
    banned: suppressEos === false ? banned : union(banned, suppressed),
    zeroed: zeroEosConfidence ? union(zeroed, [...special.eos, ...ends]) : zeroed,
  };
}

/**
 * Throws if a model that sees nothing beyond the block which it writes would not see a bit of the text after the last
 * hole, because a block begins there.
 */
export function checkSeesSuffix(
  { tokens, masked }: Canvas,
  { blocks }: Pick<Sampling, 'blocks'>,
  architecture: ModelConfig['architecture'],
): void {
  const own = blockOf(architecture);
  const block = own > 0 && blocks?.window === 'block' ? blocks.length : own;
  const start = (masked.at(-1) ?? 0) + 1;
  if (block === 0 || start % block !== 0 || start >= tokens.length) return;
  throw new RangeError(
    `suffix would be ignored: it begins at position ${start}, as does a block of ${block}, and the model sees nothing beyond the block that it writes; with a greater length it sees a part`,
  );
}

/** Starts a run: nothing is computed until the first frame is requested. */
export function start(
  run: Run,
  { architecture, generation }: Pick<ModelConfig, 'architecture' | 'generation'>,
  step: Stepper,
  openCache: OpenCache,
): AsyncGenerator<TokenFrame, TokenResult, void> {
  const { sampling } = run;
  if (isCausal(architecture)) return writeInOrder(run, step, openCache);
  const canvas = wholeBlocks(run.canvas, sampling.blocks, architecture.maxPositions);
  const steps = sampling.steps ?? Math.min(generation.steps, canvas.masked.length);
  const model = { attentionBlock: blockOf(architecture), modelShift: architecture.predictionShift };
  return denoise({ ...run, ...model, canvas, sampling: { ...sampling, steps } }, step, openCache);
}
