import type { TokenFrame, TokenResult } from '../api/types';
import type { Canvas } from './canvas';
import { endsText } from './end-tokens';
import type { Denoising, Stepper } from './loop';
import type { Sampling } from './sampling-options';
import { checkFinite, commit, initialFrame, resultOf, samplingPlan, stateOf } from './state';

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

/**
 * The loop of causal models: fills the masked positions from left to right, one a step, each from the text before it.
 * Yields and returns what `denoise` does; the result ends with the last token that was written.
 */
export async function* writeInOrder(
  run: Omit<Denoising, 'sampling'> & { readonly sampling: Sampling },
  step: Stepper,
): AsyncGenerator<TokenFrame, TokenResult, void> {
  const { canvas, sampling } = run;
  const state = stateOf(canvas, canvas.masked.length);
  sampling.signal?.throwIfAborted();
  if (sampling.initialFrame) yield initialFrame(state);
  let ended = false;
  for (const [index, position] of canvas.masked.entries()) {
    sampling.signal?.throwIfAborted();
    const number = index + 1;
    const plan = {
      eligible: null,
      order: 'confidence' as const,
      limit: 'keep' as const,
      value: 0,
      ...samplingPlan(run, number),
    };
    const tokens = state.tokens.slice(0, position + 1);
    const masked = Int32Array.of(position);
    const result = await step({ tokens, masked, plan }, sampling.signal);
    checkFinite(result, number, state);
    state.forwards++;
    ended = run.stopAtEos && endsText(canvas, result.predicted[0] as number);
    yield commit(state, number, { masked, result }, masked);
    if (ended) break;
  }
  const unwritten = canvas.masked.length - state.step;
  const masked = canvas.masked.subarray(0, state.step);
  const tokens = state.tokens.subarray(0, state.tokens.length - unwritten);
  return resultOf({ canvas: { masked }, sampling }, { ...state, tokens }, ended);
}
