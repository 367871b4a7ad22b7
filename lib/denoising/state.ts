import type { StepPlan, StepResult } from '../../types/native';
import { toJSON, withJSON } from '../api/json';
import type { TokenFrame, TokenResult } from '../api/types';
import { RND1Error } from '../support/errors';
import type { Canvas } from './canvas';
import type { Sampling } from './sampling-options';

/** The scores of one forward pass, by position; reused by later rounds if the round commits nothing. */
export interface Scores {
  readonly masked: Int32Array;
  readonly result: StepResult;
}

/** State that changes from round to round. */
export interface State {
  readonly tokens: Int32Array;
  /** 1 = still masked. */
  readonly isMasked: Uint8Array;
  /** Number of rounds planned. */
  readonly steps: number;
  /** The last round that committed something; 0 before the first. */
  step: number;
  forwards: number;
}

export function stateOf(canvas: Canvas, steps: number): State {
  const isMasked = new Uint8Array(canvas.tokens.length);
  for (const position of canvas.masked) isMasked[position] = 1;
  return { tokens: Int32Array.from(canvas.tokens), isMasked, steps, step: 0, forwards: 0 };
}

/** The part of a step's plan that does not depend on what it commits. */
export function samplingPlan(
  { sampling, banned }: { readonly sampling: Sampling; readonly banned: Int32Array },
  round: number,
): Omit<StepPlan, 'eligible' | 'order' | 'limit' | 'value'> {
  const { temperature, topK, topP, greedy, seed } = sampling;
  return { temperature, topK, topP, greedy, seed, round, banned };
}

/** Throws `not_finite`, naming the step. */
export function checkFinite({ notFinite }: StepResult, step: number, { steps }: State): void {
  if (!notFinite) return;
  throw new RND1Error('not_finite', `step ${step} of ${steps}: the logits hold NaN or infinity`);
}

/** The canvas before anything was computed. */
export function initialFrame({ tokens, isMasked, steps }: State): TokenFrame {
  const { length } = tokens;
  const frame: TokenFrame = {
    step: 0,
    steps,
    tokens: Int32Array.from(tokens),
    masked: Uint8Array.from(isMasked),
    committed: new Int32Array(),
    predicted: new Int32Array(length).fill(-1),
    confidence: new Float32Array(length).fill(Number.NaN),
    entropy: new Float32Array(length).fill(Number.NaN),
    forwards: 0,
  };
  return withJSON(frame, toJSON);
}

/** Commits predictions and returns the resulting frame. */
export function commit(state: State, step: number, scores: Scores, committed: Int32Array): TokenFrame {
  const length = state.tokens.length;
  const predicted = new Int32Array(length).fill(-1);
  const confidence = new Float32Array(length).fill(Number.NaN);
  const entropy = new Float32Array(length).fill(Number.NaN);
  scores.masked.forEach((position, i) => {
    predicted[position] = scores.result.predicted[i] as number;
    confidence[position] = scores.result.confidence[i] as number;
    entropy[position] = scores.result.entropy[i] as number;
  });
  for (const position of committed) {
    state.tokens[position] = predicted[position] as number;
    state.isMasked[position] = 0;
  }
  state.step = step;
  const frame: TokenFrame = {
    step,
    steps: state.steps,
    tokens: Int32Array.from(state.tokens),
    masked: Uint8Array.from(state.isMasked),
    committed,
    predicted,
    confidence,
    entropy,
    forwards: state.forwards,
  };
  return withJSON(frame, toJSON);
}

/** The result of a run; `ended`: because its text did. */
export function resultOf(
  {
    canvas,
    sampling,
  }: { readonly canvas: Pick<Canvas, 'masked'>; readonly sampling: Pick<Sampling, 'seed'> },
  state: State,
  ended: boolean,
): TokenResult {
  const result: TokenResult = {
    tokens: Int32Array.from(state.tokens),
    positions: Int32Array.from(canvas.masked),
    seed: sampling.seed,
    steps: state.step,
    forwards: state.forwards,
    finishReason: ended ? 'stop' : 'length',
  };
  return withJSON(result, toJSON);
}
