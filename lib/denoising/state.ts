import type { StepPlan, StepResult } from '../../types/native';
import { toJSON, withJSON } from '../api/json';
import type { TokenFrame, TokenResult } from '../api/types';
import { RND1Error } from '../support/errors';
import type { Canvas } from './canvas';
import { endsText } from './end-tokens';
import type { Sampling } from './sampling-options';

/** The scores of one forward pass, by position; reused by later rounds if the round commits nothing. */
export interface Scores {
  readonly scored: Int32Array;
  readonly result: StepResult;
}

/** State that changes from round to round. */
export interface State {
  readonly tokens: Int32Array;
  /** 1 = still masked. */
  readonly isMasked: Uint8Array;
  /** Number of rounds planned. */
  readonly steps: number;
  /** Positions that frames show: all but those that were added to make the last block whole. */
  readonly shown: number;
  /** The mask token, if a position that is given it counts as masked again. */
  readonly remask: number | null;
  /** The last round that committed something, or was yielded; 0 before the first. */
  step: number;
  forwards: number;
}

export function stateOf(
  canvas: Canvas,
  steps: number,
  options: { readonly shown?: number; readonly remask?: number | null } = {},
): State {
  const isMasked = new Uint8Array(canvas.tokens.length);
  for (const position of canvas.masked) isMasked[position] = 1;
  for (const position of canvas.maskedPrefix ?? []) isMasked[position] = 1;
  const { shown = canvas.tokens.length, remask = null } = options;
  return { tokens: Int32Array.from(canvas.tokens), isMasked, steps, shown, remask, step: 0, forwards: 0 };
}

/** What a plan says besides order, limit and sampling, if nothing of it is asked for. */
export const plainPlan = {
  eligible: null,
  strict: false,
  atLeast: 1,
  editable: null,
  editAbove: 1,
  topPFirst: false,
  rawConfidence: false,
  orderTemperature: 0,
  zeroed: new Int32Array(),
} as const;

/** A canvas without its own shift, guidance or attention block. */
export const plainCanvas = { shift: null, guidance: null, block: null } as const;

/** Token ids with special treatment in a run. */
export interface TokenRules {
  /** Never predicted. */
  readonly banned: Int32Array;
  /** Predicted, but without confidence. */
  readonly zeroed: Int32Array;
}

/** The part of a step's plan that does not depend on what it commits. */
export function samplingPlan(
  { sampling, banned, zeroed }: { readonly sampling: Sampling } & TokenRules,
  round: number,
): Omit<
  StepPlan,
  'eligible' | 'order' | 'limit' | 'value' | 'strict' | 'atLeast' | 'editable' | 'editAbove'
> {
  const { temperature, topK, topP, topPFirst, greedy, rawConfidence, algTemp, seed } = sampling;
  const filters = { temperature, topK, topP, topPFirst, greedy, rawConfidence };
  return { ...filters, orderTemperature: algTemp, seed, round, banned, zeroed };
}

/** Throws `not_finite`, naming the step. */
export function checkFinite({ notFinite }: StepResult, step: number, { steps }: State): void {
  if (!notFinite) return;
  throw new RND1Error('not_finite', `step ${step} of ${steps}: the logits hold NaN or infinity`);
}

/** The canvas before anything was computed. */
export function initialFrame(state: State): TokenFrame {
  return frameOf(state, 0, null, { committed: new Int32Array(), edited: new Int32Array() });
}

/** Commits predictions and returns the resulting frame. Without scores it repeats the canvas. */
export function commit(
  state: State,
  step: number,
  scores: Scores | null,
  committed = new Int32Array(),
): TokenFrame {
  const edited = committed.filter((position) => state.isMasked[position] === 0);
  const predicted = new Map(
    scores && [...scores.scored].map((position, i) => [position, scores.result.predicted[i] as number]),
  );
  for (const position of committed) {
    const token = predicted.get(position) as number;
    state.tokens[position] = token;
    state.isMasked[position] = token === state.remask ? 1 : 0;
  }
  state.step = step;
  return frameOf(state, step, scores, { committed, edited });
}

function frameOf(
  { tokens, isMasked, steps, shown, forwards }: State,
  step: number,
  scores: Scores | null,
  { committed, edited }: Pick<TokenFrame, 'committed' | 'edited'>,
): TokenFrame {
  const predicted = new Int32Array(shown).fill(-1);
  const confidence = new Float32Array(shown).fill(Number.NaN);
  const entropy = new Float32Array(shown).fill(Number.NaN);
  scores?.scored.forEach((position, i) => {
    if (position >= shown) return;
    predicted[position] = scores.result.predicted[i] as number;
    confidence[position] = scores.result.confidence[i] as number;
    entropy[position] = scores.result.entropy[i] as number;
  });
  const frame: TokenFrame = {
    step,
    steps,
    tokens: tokens.slice(0, shown),
    masked: isMasked.slice(0, shown),
    committed: committed.filter((position) => position < shown),
    edited: edited.filter((position) => position < shown),
    predicted,
    confidence,
    entropy,
    forwards,
  };
  return withJSON(frame, toJSON);
}

interface Finished {
  readonly canvas: Canvas;
  readonly sampling: Pick<Sampling, 'seed'>;
  /** The result ends with the first EOS that was written. */
  readonly cutAtEos?: boolean;
}

/** The result of a run; `ended`: because its text did. */
export function resultOf(
  { canvas, sampling, cutAtEos }: Finished,
  state: State,
  ended: boolean,
): TokenResult {
  const { masked, kept = canvas.tokens.length } = canvas;
  const isEnd = (position: number) =>
    state.isMasked[position] === 0 && endsText(canvas, state.tokens[position] as number);
  const eos = cutAtEos ? masked.find((position) => position < kept && isEnd(position)) : undefined;
  const within = masked.some((position) => position < kept && isEnd(position));
  const end = eos === undefined ? Math.min(kept, state.tokens.length) : eos + 1;
  const result: TokenResult = {
    tokens: state.tokens.slice(0, end),
    positions: masked.filter((position) => position < end),
    seed: sampling.seed,
    steps: state.step,
    forwards: state.forwards,
    // An end among the added positions is not the text's.
    finishReason:
      eos !== undefined || (ended && (kept === canvas.tokens.length || within)) ? 'stop' : 'length',
  };
  return withJSON(result, toJSON);
}
