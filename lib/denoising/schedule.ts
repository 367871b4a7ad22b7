import type { StepPlan } from '../../types/native';
import type { Schedule, SimpleSchedule } from '../api/types';
import {
  booleanOption,
  integerOption,
  numberOption,
  optionsObject,
  quote,
  wordOption,
} from '../support/validate';
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
  | { readonly limit: 'gamma'; readonly value: number }
  | {
      readonly limit: 'tau';
      readonly value: number;
      readonly strict: boolean;
      /** How many are committed at least; null = as many as a linear plan would commit. */
      readonly atLeast: number | null;
    };

/** How a canvas is cut into blocks that are filled from left to right. */
export interface BlockRule {
  /** Positions per block. */
  readonly length: number;
  /** Rounds of each; null = shares of all steps. */
  readonly steps: number | null;
  readonly from: 'masked' | 'canvas';
  readonly window: 'canvas' | 'block';
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

/** Validates a schedule; `blocks` is null without blocks. */
export function readSchedule(schedule: Schedule = 'entropy'): { rule: Rule; blocks: BlockRule | null } {
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
    ...(type === 'threshold' && { strict: true, atLeast: true }),
    ...(!plan && { schedule: true, steps: true, from: true, window: true }),
  };
  optionsObject<object>('schedule', given, names as object);
  const value = parameter && readParameter(parameter, given[parameter.name]);
  if (plan === null) {
    const inner = given.schedule as SimpleSchedule | undefined;
    // Checked before it is read, because a schedule object may contain itself.
    if ((inner as { type?: unknown } | undefined)?.type === type) {
      throw new TypeError(`schedule.schedule must not be ${type} again, but it is ${quote(inner)}`);
    }
    return { rule: readSchedule(inner).rule, blocks: readBlocks(value as number, given) };
  }
  if ('order' in plan) return { rule: { limit: 'keep', order: plan.order }, blocks: null };
  if (plan.limit === 'gamma') return { rule: { limit: 'gamma', value: value as number }, blocks: null };
  const strict = booleanOption('schedule.strict', given.strict as boolean | undefined, false);
  const { atLeast = 1 } = given;
  const counted = atLeast === 'counts';
  const rule: Rule = {
    limit: 'tau',
    value: value as number,
    strict,
    atLeast: counted ? null : integerOption('schedule.atLeast', atLeast, 1, 2 ** 31 - 1),
  };
  return { rule, blocks: null };
}

function readBlocks(length: number, given: Record<string, unknown>): BlockRule {
  const { steps, from = 'masked', window = 'canvas' } = given;
  return {
    length,
    steps: steps === undefined ? null : integerOption('schedule.steps', steps, 1, 2 ** 31 - 1),
    from: wordOption('schedule.from', from, ['masked', 'canvas']),
    window: wordOption('schedule.window', window, ['canvas', 'block']),
  };
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
