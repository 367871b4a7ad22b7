import type { StepCanvas, StepResult } from '../../types/native';
import type { TokenFrame, TokenResult } from '../api/types';
import type { Canvas } from './canvas';
import { endsText } from './end-tokens';
import type { Sampling } from './sampling-options';
import { type Block, nextRound, planBlocks, planRound } from './schedule';
import {
  checkFinite,
  commit,
  initialFrame,
  resultOf,
  type Scores,
  type State,
  samplingPlan,
  stateOf,
} from './state';

/** Everything that one run of the loop depends on. */
export interface Denoising {
  readonly canvas: Canvas;
  readonly sampling: Sampling & { readonly steps: number };
  /** Token ids that are never predicted. */
  readonly banned: Int32Array;
  /** Stop once an EOS or pad is committed and everything before it is filled. */
  readonly stopAtEos: boolean;
}

/** Runs one step (forward pass, scores, commits): the batcher's `step`, or a stub in tests. */
export type Stepper = (canvas: StepCanvas, signal?: AbortSignal) => Promise<StepResult>;

/**
 * The loop: yields the canvas after every round that commits something, and returns the result. A forward pass is
 * run only in rounds that may commit something, because the others would see the same canvas. Nothing is computed
 * until the next frame is requested.
 */
export async function* denoise(run: Denoising, step: Stepper): AsyncGenerator<TokenFrame, TokenResult, void> {
  const { canvas, sampling } = run;
  sampling.signal?.throwIfAborted();
  const blocks = planBlocks(canvas.masked.length, sampling.steps, sampling.blockLength);
  const last = blocks.at(-1);
  const state = stateOf(canvas, last === undefined ? 0 : last.before + last.rounds);
  if (sampling.initialFrame) yield initialFrame(state);
  let ended = false;
  for (const block of blocks) {
    for await (const frame of fillBlock(run, block, state, step)) {
      ended = run.stopAtEos && textEnded(canvas, state);
      yield frame;
      if (ended) break;
    }
    if (ended) break;
  }
  return resultOf(run, state, ended);
}

/** Fills one block; every masked position of the canvas is scored, but only the block's are committed. */
async function* fillBlock(
  run: Denoising,
  block: Block,
  state: State,
  step: Stepper,
): AsyncGenerator<TokenFrame, void, void> {
  const { canvas, sampling } = run;
  const { rule } = sampling;
  const positions = canvas.masked.subarray(block.start, block.start + block.size);
  let idle: Scores | null = null;
  let round = 0;
  for (;;) {
    sampling.signal?.throwIfAborted();
    const eligible = positions.filter((position) => state.isMasked[position] === 1);
    if (eligible.length === 0) return;
    round = nextRound(rule, block.size, block.rounds, round + 1, eligible.length);
    const number = block.before + round;
    let scores: Scores;
    let committed: Int32Array;
    if (idle !== null) {
      scores = idle;
      committed = eligible;
    } else {
      const masked = canvas.masked.filter((position) => state.isMasked[position] === 1);
      const plan = {
        ...planRound(rule, block.size, block.rounds, round),
        eligible: eligible.length === masked.length ? null : eligible,
        // The draw depends on the round that made this canvas, not on the round that commits.
        ...samplingPlan(run, state.step + 1),
      };
      const tokens = Int32Array.from(state.tokens);
      const result = await step({ tokens, masked, plan }, sampling.signal);
      checkFinite(result, number, state);
      state.forwards++;
      scores = { masked, result };
      committed = Int32Array.from(result.committed);
      if (committed.length === 0) {
        // The same scores would commit nothing in any round except the block's last, which commits all.
        idle = scores;
        round = block.rounds - 1;
        continue;
      }
    }
    yield commit(state, number, scores, committed);
  }
}

/** Whether an EOS or pad is committed, and so is every position to fill before it. */
function textEnded(canvas: Canvas, state: State): boolean {
  for (const position of canvas.masked) {
    if (state.isMasked[position] === 1) return false;
    if (endsText(canvas, state.tokens[position] as number)) return true;
  }
  return false;
}
