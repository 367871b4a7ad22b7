import type { StepPlan } from '../../types/native';
import type { Schedule } from '../api/types';

/** The numeric parameter of a schedule. */
export interface ScheduleParameter {
  /** The field of the schedule's object. */
  readonly name: 'gamma' | 'tau' | 'length';
  /** Its unit, in the plural. */
  readonly unit: string;
  /** Whether it must be a whole number. */
  readonly whole: boolean;
  /** Minimum, inclusive unless `minExcluded`. */
  readonly min: number;
  /** Whether `min` itself is too small. */
  readonly minExcluded: boolean;
  /** Maximum, inclusive; null = no bound. */
  readonly max: number | null;
  /** The library also accepts values below `min`, as the reference does; forms and the command line do not. */
  readonly lenient: boolean;
  /** Initial value in forms and examples. */
  readonly suggested: number;
}

/** Definition of a schedule, used by every part of this package. */
export interface ScheduleEntry {
  readonly type: Exclude<Schedule, string>['type'];
  /** Describes what a step commits; the parameter's name in capitals stands for its value. */
  readonly commits: string;
  /** Its form in a `StepPlan`: a count in some order, or a bound; null if another schedule decides. */
  readonly plan: { readonly order: StepPlan['order'] } | { readonly limit: 'gamma' | 'tau' } | null;
  /** null: it has no parameter. */
  readonly parameter: ScheduleParameter | null;
}

/**
 * All schedules, in display order. The source of the library's checks, the command line's notation and manual, the
 * server's schemas and the page's form.
 */
export const scheduleTable: readonly ScheduleEntry[] = [
  {
    type: 'entropy',
    commits: 'a fixed share per step, lowest entropy first',
    plan: { order: 'entropy' },
    parameter: null,
  },
  {
    type: 'confidence',
    commits: 'a fixed share per step, highest probability first',
    plan: { order: 'confidence' },
    parameter: null,
  },
  {
    type: 'margin',
    commits: 'a fixed share per step, largest lead over the second most probable token first',
    plan: { order: 'margin' },
    parameter: null,
  },
  {
    type: 'random',
    commits: 'a fixed share per step, in random order',
    plan: { order: 'random' },
    parameter: null,
  },
  {
    type: 'entropy-bounded',
    commits: 'as many as an entropy bound of GAMMA nats allows: few where it is hard, many where it is easy',
    plan: { limit: 'gamma' },
    parameter: {
      name: 'gamma',
      unit: 'nats',
      whole: false,
      min: 0,
      minExcluded: false,
      max: null,
      lenient: true,
      suggested: 0.01,
    },
  },
  {
    type: 'threshold',
    commits: 'all with a probability of at least TAU',
    plan: { limit: 'tau' },
    parameter: {
      name: 'tau',
      unit: 'shares of 1',
      whole: false,
      min: 0,
      minExcluded: true,
      max: 1,
      lenient: false,
      suggested: 0.9,
    },
  },
  {
    type: 'blocks',
    commits: 'blocks of LENGTH tokens from left to right, each filled by another schedule (default: entropy)',
    plan: null,
    parameter: {
      name: 'length',
      unit: 'tokens',
      whole: true,
      min: 1,
      minExcluded: false,
      max: null,
      lenient: false,
      suggested: 32,
    },
  },
];

/** Default of the command line and the page; the library's default is the reference's, `'entropy'`. */
export const startingSchedule = { type: 'entropy-bounded', gamma: 0.01 } as const satisfies Schedule;

/** The types of schedules without a parameter, which may be given by name alone. */
export const plainTypes = scheduleTable.filter(({ parameter }) => parameter === null).map(({ type }) => type);

/** The entry of a type. */
export function scheduleEntry(type: ScheduleEntry['type']): ScheduleEntry {
  return scheduleTable.find((entry) => entry.type === type) as ScheduleEntry;
}

/** Whether a schedule chooses positions at random. Tokens may be sampled all the same. */
export function drawsPositions(schedule: Schedule = 'entropy'): boolean {
  if (typeof schedule === 'string') return schedule === 'random';
  return schedule.type === 'blocks' ? drawsPositions(schedule.schedule) : schedule.type === 'random';
}
