import type { Counts } from '../api/types';
import { booleanOption, numberOption, optionsObject, quote, wordOption } from '../support/validate';
import type { Block } from './blocks';

/** How many positions the rounds of a block commit. */
export type Counting = { readonly type: 'proportional' | 'even' | 'rounded' } | LinearCounting;

interface LinearCounting {
  readonly type: 'linear';
  readonly eps: number;
  readonly independent: boolean;
}

type Rounds = Pick<Block, 'size' | 'rounds'>;

const { fround } = Math;

const linearNames = { type: true, eps: true, independent: true };

/** Validates the option `counts`. */
export function readCounts(counts: Counts = 'proportional'): Counting {
  if (typeof counts === 'string') {
    return { type: wordOption('counts', counts, ['proportional', 'even', 'rounded']) };
  }
  if (typeof counts !== 'object' || counts?.type !== 'linear') {
    throw new TypeError(
      `counts must be 'proportional', 'even', 'rounded' or { type: 'linear', eps }, not ${quote(counts)}`,
    );
  }
  const { eps = 1e-3, independent } = optionsObject('counts', counts, linearNames as never);
  return {
    type: 'linear',
    eps: numberOption('counts.eps', eps, 0, 1),
    independent: booleanOption('counts.independent', independent, false),
  };
}

/** The last round of a block that commits anything: rounds without any positions may be left out. */
export function roundsOf(counting: Counting, { size, rounds }: Rounds): number {
  return counting.type === 'rounded' ? Math.max(roundedCounts(size, rounds).length, 1) : rounds;
}

/** How many positions round `round` (1 … `rounds`) commits if `left` are masked. */
export function countOf(counting: Counting, block: Rounds, round: number, left: number): number {
  const { size, rounds } = block;
  switch (counting.type) {
    case 'proportional':
      return Math.max(left - keepCount(size, rounds, round), 0);
    case 'even':
      return evenCount(size, rounds, round);
    case 'rounded':
      return roundedCounts(size, rounds)[round - 1] ?? 0;
    case 'linear':
      return linearCount(left, round, { rounds, eps: counting.eps });
  }
}

/**
 * The first round from `round` on that commits something while `left` positions are masked; `rounds` + 1 if none does.
 */
export function nextRound(counting: Counting, block: Rounds, round: number, left: number): number {
  const commits = (one: number) => countOf(counting, block, one, left) > 0;
  const { type } = counting;
  if (type === 'even' || type === 'rounded')
    return round <= block.rounds && commits(round) ? round : block.rounds + 1;
  if (type === 'linear' && counting.independent) return round;
  // Later rounds commit more.
  let low = round;
  let high = block.rounds;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (commits(middle)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * How many of `total` positions stay masked after round `round` of `rounds`. Computed in f32, as in the reference:
 * 100 positions and 50 rounds leave 58 at round 21, whereas f64 gives 57.
 */
export function keepCount(total: number, rounds: number, round: number): number {
  return Math.trunc(fround(fround((rounds - round) / rounds) * total));
}

/** LLaDA and LLaDA2: `total` shared evenly among `rounds`, the first ones taking what is left over. */
export function evenCount(total: number, rounds: number, round: number): number {
  return Math.floor(total / rounds) + (round <= total % rounds ? 1 : 0);
}

/** dLLM's masked diffusion with α(t) = 1 − t: the expected number of each round, rounded; rounds without any are left out. */
export function roundedCounts(total: number, rounds: number): number[] {
  const counts: number[] = [];
  let left = total;
  // (1 − α) of a time, which is an f32.
  const masked = (time: number) => fround(1 - fround(1 - fround(time)));
  // The share of `left` is below half a position while more than twice as many rounds are to come.
  for (let round = Math.max(0, rounds - 4 * total - 16); round < rounds && left > 0; round++) {
    const [before, after] = [masked((rounds - round) / rounds), masked((rounds - round - 1) / rounds)];
    const share = fround(1 - fround(after / before));
    const count = Math.min(roundHalfToEven(left * share), left);
    if (count > 0) counts.push(count);
    left -= count;
  }
  return counts;
}

interface LinearTimes {
  readonly rounds: number;
  /** The last time but one. */
  readonly eps: number;
}

/** Dream: how many of the masked positions round `round` commits; the last one commits all. */
export function linearCount(masked: number, round: number, times: LinearTimes): number {
  return Math.floor(masked * linearShare(round, times));
}

/** Dream: the probability with which round `round` commits each masked position. Times fall evenly from 1. */
export function linearShare(round: number, { rounds, eps }: LinearTimes): number {
  if (round >= rounds) return 1;
  const time = (index: number) => 1 + ((eps - 1) * index) / rounds;
  return 1 - time(round) / time(round - 1);
}

function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
