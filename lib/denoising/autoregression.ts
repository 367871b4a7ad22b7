import type { StopAtEos, TokenFrame, TokenResult } from '../api/types';
import type { OpenCache } from '../runtime/caches';
import type { CacheRule } from './cache-option';
import { ExactCache } from './cached-rows';
import type { Canvas } from './canvas';
import { endsText } from './end-tokens';
import type { Stepper } from './pass';
import type { Sampling } from './sampling-options';
import {
  checkFinite,
  commit,
  initialFrame,
  plainCanvas,
  plainPlan,
  resultOf,
  type State,
  samplingPlan,
  stateOf,
  type TokenRules,
} from './state';

/** Throws for a canvas that a causal model cannot continue. */
export function checkInOrder({ tokens, masked }: Canvas): void {
  if (masked.some((position, index) => position !== tokens.length - masked.length + index)) {
    throw new RangeError(
      'masked must be the last positions of the canvas: the model writes from left to right and does not see what follows',
    );
  }
  if (masked[0] === 0) {
    throw new RangeError(
      'prefix must hold at least one token: the model predicts a token from those before it',
    );
  }
}

/** Everything that a run depends on. */
interface Autoregression extends TokenRules {
  readonly canvas: Canvas;
  readonly sampling: Sampling;
  readonly stopAtEos: StopAtEos;
  readonly cutAtEos: boolean;
  readonly cache: CacheRule;
}

/**
 * The loop of causal models: fills the masked positions from left to right, one a step, each from the text before it.
 * Yields and returns what `denoise` does; the result ends with the last token that was written. With a cache, the
 * first step computes the given text (from where an earlier one differs), and each later step the last token; frames
 * and result are the same without.
 */
export async function* writeInOrder(
  run: Autoregression,
  step: Stepper,
  openCache: OpenCache,
): AsyncGenerator<TokenFrame, TokenResult, void> {
  const { canvas, sampling } = run;
  const state = stateOf(canvas, canvas.masked.length);
  sampling.signal?.throwIfAborted();
  if (sampling.initialFrame) yield initialFrame(state);
  const useful = run.cache !== null && canvas.masked.length > 1;
  const { tokens } = canvas;
  const wanted = { positions: tokens.length, text: { tokens, block: 1 } };
  const opened = useful ? await openCache(wanted, sampling.signal) : null;
  let failed = false;
  try {
    return yield* writeTokens(run, state, step, opened && new ExactCache(opened, 1));
  } catch (error) {
    failed = true;
    throw error;
  } finally {
    opened?.close(failed);
  }
}

async function* writeTokens(
  run: Autoregression,
  state: State,
  step: Stepper,
  cache: ExactCache | null,
): AsyncGenerator<TokenFrame, TokenResult, void> {
  const { canvas, sampling } = run;
  let ended = false;
  for (const [index, position] of canvas.masked.entries()) {
    sampling.signal?.throwIfAborted();
    const number = index + 1;
    const plan = {
      ...plainPlan,
      order: 'confidence' as const,
      limit: 'keep' as const,
      value: 0,
      ...samplingPlan(run, number),
    };
    const tokens = state.tokens.slice(0, position + 1);
    const masked = Int32Array.of(position);
    const rows = cache?.use(tokens, position, [position - 1]) ?? null;
    const result = await step({ ...plainCanvas, tokens, masked, plan, cache: rows }, sampling.signal);
    checkFinite(result, number, state);
    state.forwards++;
    ended = run.stopAtEos !== false && endsText(run.canvas, result.predicted[0] as number);
    yield commit(state, number, { scored: masked, result }, masked);
    if (ended) break;
  }
  const unwritten = canvas.masked.length - state.step;
  const masked = canvas.masked.subarray(0, state.step);
  const tokens = state.tokens.subarray(0, state.tokens.length - unwritten);
  const { cutAtEos } = run;
  return resultOf({ canvas: { ...canvas, masked }, sampling, cutAtEos }, { ...state, tokens }, ended);
}
