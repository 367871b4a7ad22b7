import type { StepPlan } from '../../types/native';
import { quote } from '../support/validate';
import type { Block } from './blocks';
import { type Counting, countOf, linearShare } from './counts';
import type { Rule } from './schedule';
import { plainPlan } from './state';

/** The part of a `StepPlan` that decides which positions a round commits. */
export type RoundPlan = Pick<StepPlan, 'eligible' | 'order' | 'limit' | 'value' | 'strict' | 'atLeast'>;

/** What the rounds of a run have in common. */
export interface RoundRules {
  readonly rule: Rule;
  readonly counting: Counting;
}

/** Uniform numbers in [0, 1), one for each position. */
export type Draw = (positions: Int32Array) => ArrayLike<number>;

const { eligible, strict, atLeast } = plainPlan;
const plain = { eligible, strict, atLeast };

/** Commits nothing: a step for its scores alone. */
export const nothing: RoundPlan = { ...plain, order: 'confidence', limit: 'keep', value: 2 ** 31 - 1 };

/** Numbers that the option `draws` has returned in a step: as many as positions, each from 0 to below 1. */
export function checkDraws(numbers: ArrayLike<number>, count: number, step: number): ArrayLike<number> {
  const given: unknown = numbers;
  if (!Array.isArray(given) && !(ArrayBuffer.isView(given) && 'length' in given)) {
    throw new TypeError(
      `draws must return a list of numbers, but it returned ${quote(given)} in step ${step}`,
    );
  }
  if (numbers.length !== count) {
    throw new RangeError(
      `draws must return a number for each of ${count} positions, but it returned ${numbers.length} in step ${step}`,
    );
  }
  for (let i = 0; i < count; i++) {
    const number: unknown = numbers[i];
    if (typeof number === 'number' && number >= 0 && number < 1) continue;
    throw new RangeError(
      `draws must return numbers from 0 to below 1, but the one at ${i} is ${quote(number)} in step ${step}`,
    );
  }
  return numbers;
}

/** Whether counts say how many positions a round commits, at least; otherwise a bound does. */
export const isCounted = (rule: Rule): boolean =>
  rule.limit === 'keep' || (rule.limit === 'tau' && rule.atLeast === null);

/**
 * Plans round `round` (1 … `rounds`) of a block of which `left` positions are masked. Bounds commit what is left in the
 * last round.
 */
export function planRound(
  { rule, counting }: RoundRules,
  block: Pick<Block, 'size' | 'rounds'>,
  round: number,
  left: number,
): RoundPlan {
  if (rule.limit === 'keep') {
    return {
      ...plain,
      order: rule.order,
      limit: 'keep',
      value: Math.max(left - countOf(counting, block, round, left), 0),
    };
  }
  if (!isCounted(rule) && round === block.rounds) {
    return { ...plain, order: 'confidence', limit: 'keep', value: 0 };
  }
  if (rule.limit === 'gamma') return { ...plain, order: 'confidence', ...rule };
  const atLeast = rule.atLeast ?? countOf(counting, block, round, left);
  return { ...plain, order: 'confidence', ...rule, atLeast };
}

/**
 * The same where numbers drawn for the positions decide which are committed: those below the round's probability, or the
 * largest. null if neither is the case.
 */
export function drawRound(
  { rule, counting }: RoundRules,
  {
    block,
    round,
    eligible,
  }: { readonly block: Block; readonly round: number; readonly eligible: Int32Array },
  draw: Draw | null,
  ownDraw: Draw,
): RoundPlan | null {
  if (rule.limit !== 'keep') return null;
  if (counting.type === 'linear' && counting.independent) {
    const probability = linearShare(round, { rounds: block.rounds, eps: counting.eps });
    const numbers = (draw ?? ownDraw)(eligible);
    return commitAll(eligible.filter((_, i) => (numbers[i] as number) < probability));
  }
  if (rule.order !== 'random' || draw === null) return null;
  const numbers = draw(eligible);
  const best = [...eligible.keys()].sort((a, b) => (numbers[b] as number) - (numbers[a] as number) || a - b);
  const chosen = new Set(best.slice(0, countOf(counting, block, round, eligible.length)));
  return commitAll(eligible.filter((_, i) => chosen.has(i)));
}

function commitAll(eligible: Int32Array): RoundPlan {
  return eligible.length === 0 ? nothing : { ...nothing, eligible, value: 0 };
}
