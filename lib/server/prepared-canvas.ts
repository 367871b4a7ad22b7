import type { TextFrame, TextResult, TokenFrame, TokenResult } from '../api/types';
import { endTokens } from '../denoising/end-tokens';
import { reservesEnd } from './body-options';
import type { Context } from './context';
import { ApiError, asFieldError } from './errors';

export type Frame = TokenFrame | TextFrame;
export type Result = TokenResult | TextResult;
export type Frames = AsyncGenerator<Frame, Result, void>;

/** A canvas that is laid out and waits for its first step. */
export interface Work {
  /** The canvas before anything was computed. */
  readonly initial: Frame;
  /** Positions to fill, ascending. */
  readonly positions: readonly number[];
  /** Number of tokens that the request provides. */
  readonly promptTokens: number;
  readonly seed: bigint;
  /** Tokens that end the text; none if a text follows the positions. */
  readonly ends: ReadonlySet<number>;
  /** The frames after the initial one. */
  readonly frames: Frames;
}

/** A canvas that a request asks for. */
export interface CanvasPlan {
  readonly seed: bigint;
  /** Made of text: its last position may be the reserved end slot, which does not count as prompt. */
  readonly text: boolean;
  /** The text may end before its last position. */
  readonly mayEnd: boolean;
  /** Its frames, with `initialFrame: true`. */
  frames(): Frames;
}

/** Total length of several texts, in UTF-16 units. */
export function lengthOf(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + text.length, 0);
}

/** Refuses, before tokenizing, a text that would not fit even if every token were the longest one. */
export function checkTextLength(
  length: number,
  { model, settings }: Pick<Context, 'model' | 'settings'>,
): void {
  const { maxCanvasTokens } = settings;
  if (length <= maxCanvasTokens * (model.tokenizer?.longestToken ?? 1)) return;
  const limit = `this server takes ${maxCanvasTokens} tokens`;
  throw new ApiError(400, 'context_length_exceeded', `a text of ${length} characters: ${limit}`);
}

/**
 * Lays out a canvas and computes nothing yet.
 *
 * @throws ApiError 400 for arguments that the library refuses, and for a canvas beyond the limit
 */
export async function begin(plan: CanvasPlan, { model, settings }: Context): Promise<Work> {
  const frames = plan.frames();
  const next = await frames.next().catch((error: unknown) => {
    throw asFieldError(error);
  });
  const initial = next.value as Frame;
  const { length } = initial.tokens;
  if (length > settings.maxCanvasTokens) {
    await frames.return(undefined as never);
    throw new ApiError(
      400,
      'context_length_exceeded',
      `the canvas would have ${length} tokens, but this server takes ${settings.maxCanvasTokens}`,
    );
  }
  const positions = [...initial.masked.keys()].filter((position) => initial.masked[position] === 1);
  const last = length - 1;
  const reserved =
    plan.text && reservesEnd(model) && length > 1 && positions.length > 0 && initial.masked[last] === 0;
  const { eosTokenIds: eos, padTokenId: pad } = model.config.tokens;
  return {
    initial,
    positions,
    promptTokens: length - positions.length - (reserved ? 1 : 0),
    seed: plan.seed,
    ends: new Set(plan.mayEnd ? endTokens({ eos, pad }) : []),
    frames,
  };
}
