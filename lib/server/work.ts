import type { RND1 } from '../model';
import type { TextFrame, TextResult, TokenFrame, TokenResult } from '../types';
import { ApiError, asFieldError } from './errors';
import { reservesEnd } from './fields';

export type Frame = TokenFrame | TextFrame;
export type Result = TokenResult | TextResult;
export type Frames = AsyncGenerator<Frame, Result, void>;

/** A canvas that is laid out and waits for its first step. */
export interface Work {
  /** The canvas before anything was computed. */
  readonly initial: Frame;
  /** Positions to fill, ascending. */
  readonly positions: readonly number[];
  /** Tokens that the request has given. */
  readonly promptTokens: number;
  readonly seed: bigint;
  /** The frames after the initial one. */
  readonly frames: Frames;
}

export interface WorkOptions {
  readonly seed: bigint;
  readonly maxCanvasTokens: number;
  /** Its last slot may be reserved, which the request has not given. */
  readonly text: boolean;
}

/**
 * Lays out a canvas and computes nothing yet.
 *
 * @param frames with `initialFrame: true`
 * @throws ApiError 422 for what the library says about its arguments, and for a canvas beyond the limit
 */
export async function begin(model: RND1, frames: Frames, options: WorkOptions): Promise<Work> {
  const next = await frames.next().catch((error: unknown) => {
    throw asFieldError(error);
  });
  const initial = next.value as Frame;
  const { length } = initial.tokens;
  if (length > options.maxCanvasTokens) {
    await frames.return(undefined as never);
    throw new ApiError(
      422,
      'context_length_exceeded',
      `the canvas would have ${length} tokens, but this server takes ${options.maxCanvasTokens}`,
    );
  }
  const positions = [...initial.masked.keys()].filter((position) => initial.masked[position] === 1);
  const last = length - 1;
  const reserved =
    options.text && reservesEnd(model) && length > 1 && positions.length > 0 && initial.masked[last] === 0;
  return {
    initial,
    positions,
    promptTokens: length - positions.length - (reserved ? 1 : 0),
    seed: options.seed,
    frames,
  };
}
