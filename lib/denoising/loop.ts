import type { TokenFrame, TokenResult } from '../api/types';
import type { OpenCache } from '../runtime/caches';
import { type Block, planBlocks } from './blocks';
import { BlockCache } from './cached-rows';
import { nextRound, roundsOf } from './counts';
import { endsText } from './end-tokens';
import {
  cacheOf,
  cacheRequest,
  type Denoising,
  type Filling,
  predictable,
  type Stepper,
  score,
} from './pass';
import { type Pause, pauses } from './pauses';
import { checkDraws, type Draw, drawRound, isCounted, nothing, planRound, type RoundPlan } from './rounds';
import { commit, initialFrame, resultOf, type Scores, type State, stateOf } from './state';
import { positionDraws } from './uniform';

/**
 * The loop: yields the canvas after every round that commits something, and returns the result. A forward pass is
 * run only in rounds that may commit something, because the others would see the same canvas, unless the options ask
 * for all. Nothing is computed until the next frame is requested.
 */
export async function* denoise(
  run: Denoising,
  step: Stepper,
  openCache: OpenCache | null = null,
): AsyncGenerator<TokenFrame, TokenResult, void> {
  const { canvas, sampling } = run;
  sampling.signal?.throwIfAborted();
  const blocks = planBlocks(canvas, sampling.steps, sampling.blocks, {
    postSteps: sampling.editing?.maxPostSteps,
    leastSteps: run.cache !== null && run.cache.kind !== 'exact' && sampling.idleSteps !== 'skip' ? 2 : 1,
  });
  const last = blocks.at(-1);
  const planned = last === undefined ? 0 : last.before + last.steps;
  const state = stateOf(canvas, planned, {
    shown: run.wholeFrames ? undefined : canvas.kept,
    remask: sampling.remask ? canvas.special.mask : null,
  });
  if (sampling.initialFrame) yield initialFrame(state);
  const wanted = cacheRequest(run);
  const opened = (wanted && (await openCache?.(wanted, sampling.signal))) ?? null;
  let failed = false;
  try {
    const cache = cacheOf(run, opened);
    const pause = pauses();
    let ended = false;
    for (const block of blocks) {
      for await (const frame of fillBlock(run, { block, cache, passes: 0 }, state, { step, pause })) {
        ended = stepEnds(run, state, frame);
        yield frame;
        if (ended) break;
      }
      ended ||= blockEnds(run, state, block);
      if (ended) break;
    }
    return resultOf(run, state, ended);
  } catch (error) {
    failed = true;
    throw error;
  } finally {
    opened?.close(failed);
  }
}

/**
 * Fills one block. All masked positions that a step sees are scored, but only those before the block's end are committed:
 * its own, and those that earlier blocks have left.
 */
async function* fillBlock(
  run: Denoising,
  filling: Filling,
  state: State,
  { step, pause }: { readonly step: Stepper; readonly pause: Pause },
): AsyncGenerator<TokenFrame, void, void> {
  const { sampling } = run;
  const { block, cache } = filling;
  const { rule, counting, idleSteps, editing } = sampling;
  const window = sampling.blocks?.window === 'block' ? block.end : state.tokens.length;
  const counted = isCounted(rule);
  const rounds = counted ? roundsOf(counting, block) : block.rounds;
  let idle: Scores | null = null;
  let postSteps = 0;
  let round = 0;
  for (;;) {
    await pause(state.forwards);
    sampling.signal?.throwIfAborted();
    const masked = predictable(run, filling, maskedBelow(state, window), window);
    const eligible = masked.filter((position) => position < block.end);
    const filled = eligible.length === 0;
    if (filled && editing === null && idleSteps !== 'run') {
      // Fast-dLLM computes a second pass of every block.
      if (cache instanceof BlockCache && idleSteps !== 'skip' && filling.passes === 1) {
        yield commit(state, block.before + round + 1, null);
      }
      return;
    }
    if (filled && editing !== null && postSteps++ >= editing.maxPostSteps) return;

    round++;
    if (!filled && idleSteps === 'skip' && rule.limit === 'keep') {
      round = nextRound(counting, block, round, eligible.length);
    }
    // Edits of a filled block have steps of their own.
    if (round > rounds && !(filled && editing !== null)) return;
    const number = block.before + round;
    if (idle !== null) {
      yield commit(state, number, idle, eligible);
      continue;
    }
    const plan = roundPlan(run, { block, round, number, eligible });
    const editable = editing === null ? new Int32Array() : editablePositions(run, block, state);
    const scored = merged(masked, editable);
    const waits =
      idleSteps === 'skip' &&
      plan.eligible === null &&
      plan.limit === 'keep' &&
      plan.value >= eligible.length;
    if (scored.length === 0 || (waits && editable.length === 0)) {
      if (idleSteps !== 'skip') yield commit(state, number, null);
      continue;
    }
    const scores = await score(
      run,
      filling,
      { plan, editable, eligible, scored, window, number },
      state,
      step,
    );
    const committed = Int32Array.from(scores.result.committed);
    if (committed.length === 0 && idleSteps === 'skip' && editing === null) {
      // The same scores would commit nothing in any round except the block's last, where a bound commits all.
      if (!counted) {
        idle = scores;
        round = block.rounds - 1;
      }
      continue;
    }
    if (committed.length > 0 || idleSteps !== 'skip') yield commit(state, number, scores, committed);
    if (filled && committed.length === 0 && idleSteps !== 'run') return;
  }
}

/** What a round commits, by the schedule or by numbers that are drawn. */
function roundPlan(
  { sampling, draws }: Denoising,
  {
    block,
    round,
    number,
    eligible,
  }: {
    readonly block: Block;
    readonly round: number;
    readonly number: number;
    readonly eligible: Int32Array;
  },
): RoundPlan {
  if (eligible.length === 0) return nothing;
  const given: Draw | null = draws
    ? (positions) => checkDraws(draws(number, Int32Array.from(positions)), positions.length, number)
    : null;
  const own: Draw = (positions) => positionDraws(positions, { seed: sampling.seed, round: number });
  return (
    drawRound(sampling, { block, round, eligible }, given, own) ??
    planRound(sampling, block, round, eligible.length)
  );
}

function maskedBelow({ isMasked }: State, end: number): Int32Array {
  const positions: number[] = [];
  for (let position = 0; position < end; position++) if (isMasked[position] === 1) positions.push(position);
  return Int32Array.from(positions);
}

/** The positions of a block that hold a token which was written. */
function editablePositions({ canvas }: Denoising, block: Block, { isMasked }: State): Int32Array {
  return canvas.masked.filter(
    (position) => position >= block.start && position < block.end && isMasked[position] === 0,
  );
}

const merged = (a: Int32Array, b: Int32Array): Int32Array =>
  b.length === 0 ? a : Int32Array.from([...a, ...b]).sort();

/** Whether the text has ended with this frame. */
function stepEnds({ canvas, stopAtEos }: Denoising, state: State, { committed }: TokenFrame): boolean {
  if (stopAtEos === false || stopAtEos === 'block') return false;
  const isEnd = (position: number) => endsText(canvas, state.tokens[position] as number);
  if (stopAtEos === 'commit' && !committed.some(isEnd)) return false;
  // An EOS or pad is committed, and so is every position to fill before it.
  const first = canvas.masked.find((position) => state.isMasked[position] === 1 || isEnd(position));
  return first !== undefined && state.isMasked[first] === 0;
}

/** Whether the text has ended with this block. */
function blockEnds({ canvas, stopAtEos }: Denoising, { tokens, isMasked }: State, { end }: Block): boolean {
  if (typeof stopAtEos === 'boolean') return false;
  return canvas.masked.some(
    (position) => position < end && isMasked[position] === 0 && endsText(canvas, tokens[position] as number),
  );
}
