import type { StepPlan } from '../../types/native';
import type { Schedule, SimpleSchedule } from '../api/types';
import { integerOption, numberOption, optionsObject, quote, wordOption } from '../support/validate';
import {
  plainTypes,
  type ScheduleEntry,
  type ScheduleParameter,
  scheduleEntry,
  scheduleTable,
} from './schedule-table';

/** How the masked positions of one block are committed: by a linear plan of counts in some order, or by a bound. */
export type Rule =
  | { readonly limit: 'keep'; readonly order: StepPlan['order'] }
  | { readonly limit: 'gamma' | 'tau'; readonly value: number };

/** The part of a `StepPlan` that a schedule decides. */
export type RoundPlan = Pick<StepPlan, 'order' | 'limit' | 'value'>;

/** A run of masked positions that is filled before the next one begins. */
export interface Block {
  /** Its first position, as an index into the masked positions of the whole canvas. */
  readonly start: number;
  /** Number of its positions. */
  readonly size: number;
  /** Rounds planned before it. */
  readonly before: number;
  /** Rounds planned for it, at least 1. */
  readonly rounds: number;
}

const types = scheduleTable.map(({ type }) => type);

/** Validates a schedule that is given by its name alone. */
function plainType(name: string): ScheduleEntry['type'] {
  const plain = plainTypes.find((type) => type === name);
  if (plain !== undefined) return plain;
  // The command line writes `entropy-bounded=0.01`.
  const entry = scheduleTable.find(({ type }) => type === name.split('=', 1)[0]);
  if (entry !== undefined) throw new TypeError(`schedule must be ${objectForm(entry)}, not ${quote(name)}`);
  const words = plainTypes.map((type) => `'${type}'`).join(', ');
  const objects = scheduleTable.filter(({ parameter }) => parameter !== null).map(objectForm);
  throw new TypeError(`schedule must be one of ${words}, or ${objects.join(', ')}, not ${quote(name)}`);
}

/** A schedule as JavaScript source, with its suggested value. */
function objectForm({ type, parameter }: ScheduleEntry): string {
  return parameter === null ? `'${type}'` : `{ type: '${type}', ${parameter.name}: ${parameter.suggested} }`;
}

/** Validates a schedule; `blockLength` is null without blocks. */
export function readSchedule(schedule: Schedule = 'entropy'): { rule: Rule; blockLength: number | null } {
  if (typeof schedule !== 'string' && (typeof schedule !== 'object' || schedule === null)) {
    throw new TypeError(`schedule must be a name or an object with a type, not ${quote(schedule)}`);
  }
  const type =
    typeof schedule === 'string' ? plainType(schedule) : wordOption('schedule.type', schedule.type, types);
  const { plan, parameter } = scheduleEntry(type);
  const given = typeof schedule === 'string' ? {} : (schedule as Record<string, unknown>);
  const names = {
    type: true,
    ...(parameter && { [parameter.name]: true }),
    ...(!plan && { schedule: true }),
  };
  optionsObject<object>('schedule', given, names as object);
  const value = parameter && readParameter(parameter, given[parameter.name]);
  if (plan === null) {
    const inner = given.schedule as SimpleSchedule | undefined;
    // Checked before it is read, because a schedule object may contain itself.
    if ((inner as { type?: unknown } | undefined)?.type === type) {
      throw new TypeError(`schedule.schedule must not be ${type} again, but it is ${quote(inner)}`);
    }
    return { rule: readSchedule(inner).rule, blockLength: value };
  }
  const rule: Rule =
    'order' in plan ? { limit: 'keep', order: plan.order } : { limit: plan.limit, value: value as number };
  return { rule, blockLength: null };
}

function readParameter(parameter: ScheduleParameter, value: unknown): number {
  const name = `schedule.${parameter.name}`;
  const [min, max] = [parameter.lenient ? -Infinity : parameter.min, parameter.max ?? undefined];
  if (parameter.whole) return integerOption(name, value, min, max);
  const number = numberOption(name, value, min, max);
  if (parameter.minExcluded && number === min) {
    throw new RangeError(`${name} must be above ${min}, not ${quote(value)}`);
  }
  return number;
}

/**
 * How many of `total` positions stay masked after round `round` of `rounds`. Computed in f32, as in the reference:
 * 100 positions and 50 rounds leave 58 at round 21, whereas f64 gives 57.
 */
export function keepCount(total: number, rounds: number, round: number): number {
  return Math.trunc(Math.fround(Math.fround((rounds - round) / rounds) * total));
}

/** Plans round `round` (1 … `rounds`) of a block of `total` positions; the last one commits all that are left. */
export function planRound(rule: Rule, total: number, rounds: number, round: number): RoundPlan {
  if (rule.limit === 'keep') {
    return { order: rule.order, limit: 'keep', value: keepCount(total, rounds, round) };
  }
  if (round === rounds) return { order: 'confidence', limit: 'keep', value: 0 };
  return { order: 'confidence', limit: rule.limit, value: rule.value };
}

/**
 * The first round from `round` on that can commit something while `left` of a block's `total` positions are
 * masked. Counts determine that before the forward pass; bounds do not, so the result is `round`.
 */
export function nextRound(rule: Rule, total: number, rounds: number, round: number, left: number): number {
  if (rule.limit !== 'keep') return round;
  let low = round;
  let high = rounds;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (keepCount(total, rounds, middle) < left) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Cuts `total` masked positions into blocks of `length` (null: a single one), the last of which may be shorter,
 * and shares `steps` rounds among them in proportion to size: by largest remainders, the earlier block first,
 * at least one each. With fewer steps than blocks every block gets one round, so there are as many rounds as
 * blocks; otherwise the shares add up to `steps`. 0 steps count as 1.
 */
export function planBlocks(total: number, steps: number, length: number | null): Block[] {
  if (total === 0) return [];
  const full = length ?? total;
  const sizes = Array.from({ length: Math.ceil(total / full) }, (_, i) => Math.min(full, total - i * full));
  const shares = shareSteps(sizes, Math.max(steps, sizes.length));
  let before = 0;
  return sizes.map((size, i) => {
    const rounds = shares[i] as number;
    before += rounds;
    return { start: i * full, size, before: before - rounds, rounds };
  });
}

/** Sizes are equal except for a shorter last one and `steps` ≥ blocks, so only the last share can fall below 1. */
function shareSteps(sizes: readonly number[], steps: number): number[] {
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const quotas = sizes.map((size) => (steps * size) / total);
  const shares = quotas.map((quota) => Math.max(1, Math.floor(quota)));
  let rest = steps - shares.reduce((sum, share) => sum + share, 0);
  const need = (i: number) => (quotas[i] as number) - (shares[i] as number);
  const neediest = [...sizes.keys()].sort((a, b) => need(b) - need(a));
  for (const i of rest > 0 ? neediest : neediest.reverse()) {
    if (rest === 0) break;
    if (rest < 0 && shares[i] === 1) continue;
    shares[i] = (shares[i] as number) + Math.sign(rest);
    rest -= Math.sign(rest);
  }
  return shares;
}
