import type { CacheUse, StepResult } from '../../types/native';
import type { StopAtEos, TokenOptions } from '../api/types';
import type { BlockCanvas } from '../runtime/batcher';
import type { CacheRequest, RunCache } from '../runtime/caches';
import type { Block } from './blocks';
import type { CacheRule } from './cache-option';
import { BlockCache, ExactCache } from './cached-rows';
import { type Canvas, neededMask } from './canvas';
import type { RoundPlan } from './rounds';
import type { Sampling } from './sampling-options';
import { checkFinite, type Scores, type State, samplingPlan, type TokenRules } from './state';

/** Everything that one run of the loop depends on. */
export interface Denoising extends TokenRules {
  readonly canvas: Canvas;
  readonly sampling: Sampling & { readonly steps: number };
  readonly stopAtEos: StopAtEos;
  readonly cutAtEos: boolean;
  /** Row i − shift predicts position i; null = as the model says. */
  readonly shift: 0 | 1 | null;
  /** Numbers that replace the generator's. */
  readonly draws: TokenOptions['draws'] | null;
  /** Frames show all positions, also those that were added to make the last block whole. */
  readonly wholeFrames: boolean;
  /** The block of the model's attention mask; 0 = full attention. */
  readonly attentionBlock: number;
  /** Whether position i is predicted by row i − 1, else i. */
  readonly modelShift: 0 | 1;
  readonly cache: CacheRule;
}

/** A block that is being filled, of how many forward passes, with which cache. */
export interface Filling {
  readonly block: Block;
  readonly cache: ExactCache | BlockCache | null;
  passes: number;
}

/** Runs one step (forward pass, scores, commits): the batcher's `step`, or a stub in tests. */
export type Stepper = (canvas: BlockCanvas, signal?: AbortSignal) => Promise<StepResult>;

/** The cache that a run asks for; null: none. */
export function cacheRequest(run: Denoising): CacheRequest | null {
  const { cache, canvas } = run;
  if (cache === null) return null;
  const text = cache.kind === 'exact' ? { tokens: canvas.tokens, block: exactBlock(run) } : null;
  return { positions: canvas.tokens.length, text };
}

/** How a run uses the cache that was opened for it. */
export function cacheOf(run: Denoising, opened: RunCache | null): ExactCache | BlockCache | null {
  if (run.cache === null || opened === null) return null;
  if (run.cache.kind === 'exact') return new ExactCache(opened, exactBlock(run));
  return new BlockCache(opened.store, run.cache);
}

const exactBlock = (run: Denoising) => blockInUse(run) ?? run.attentionBlock;

/** The block of the attention mask, if it is not the model's own. */
function blockInUse({ attentionBlock, sampling: { blocks } }: Denoising): number | null {
  return attentionBlock > 0 && blocks?.window === 'block' ? blocks.length : null;
}

/** What a pass scores and commits. */
export interface Pass {
  readonly plan: RoundPlan;
  readonly editable: Int32Array;
  readonly eligible: Int32Array;
  readonly scored: Int32Array;
  /** Number of positions that the pass sees. */
  readonly window: number;
  /** The round's number, for errors. */
  readonly number: number;
}

/** One forward pass over the beginning of the canvas. */
export async function score(
  run: Denoising,
  filling: Filling,
  pass: Pass,
  state: State,
  step: Stepper,
): Promise<Scores> {
  const { canvas, sampling } = run;
  const { plan, editable, eligible, scored, window, number } = pass;
  const tokens = state.tokens.slice(0, window);
  const others = scored.length - editable.length;
  const request: BlockCanvas = {
    tokens,
    masked: scored,
    plan: {
      // The draw depends on the round that made this canvas, not on the round that commits.
      ...samplingPlan(run, state.step + 1),
      ...plan,
      eligible: plan.eligible ?? (eligible.length === 0 || eligible.length === others ? null : eligible),
      editable: editable.length === 0 ? null : editable,
      editAbove: sampling.editing?.threshold ?? 1,
    },
    shift: run.shift,
    guidance:
      sampling.cfgScale === 0 ? null : { scale: sampling.cfgScale, tokens: withoutPrompt(canvas, tokens) },
    block: blockInUse(run),
    cache: cacheUse(run, filling, pass, state),
  };
  const result = await step(request, sampling.signal);
  checkFinite(result, number, state);
  state.forwards++;
  filling.passes++;
  return { scored, result };
}

const shiftOf = ({ shift, modelShift }: Denoising) => shift ?? modelShift;

/** The row that predicts a position. */
const rowOf = (run: Denoising, position: number) => Math.max(position - shiftOf(run), 0);

/** Those of the positions that the next pass of a block can predict: their rows are computed. */
export function predictable(
  run: Denoising,
  { block, cache, passes }: Filling,
  positions: Int32Array,
  window: number,
): Int32Array {
  if (!(cache instanceof BlockCache)) return positions;
  const { rows } = cache.use(block, passes, window, shiftOf(run));
  const [first, last] = [rows[0] as number, rows.at(-1) as number];
  return positions.filter((position) => {
    const row = rowOf(run, position);
    return row >= first && row <= last;
  });
}

/** The rows that a pass computes; null without a cache. */
function cacheUse(
  run: Denoising,
  { block, cache, passes }: Filling,
  { scored, window }: Pass,
  { tokens }: State,
): CacheUse | null {
  if (cache instanceof BlockCache) return cache.use(block, passes, window, shiftOf(run));
  const needed = () => Array.from(scored, (position) => rowOf(run, position));
  return cache === null ? null : cache.use(tokens, window, needed());
}

/** The canvas of guidance: all that was given is masked. */
function withoutPrompt({ masked, maskedPrefix, special }: Canvas, tokens: Int32Array): Int32Array {
  const result = new Int32Array(tokens.length).fill(neededMask(special));
  for (const position of [...masked, ...(maskedPrefix ?? [])]) {
    if (position < tokens.length) result[position] = tokens[position] as number;
  }
  return result;
}
