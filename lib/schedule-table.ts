import type { StepPlan } from '../types/native';
import type { Schedule } from './types';

/** The number that a schedule needs. */
export interface ScheduleParameter {
  /** The field of the schedule's object. */
  readonly name: 'gamma' | 'tau' | 'length';
  /** What it measures, in the plural. */
  readonly unit: string;
  /** Whether it must be a whole number. */
  readonly whole: boolean;
  /** The smallest value that makes sense. */
  readonly min: number;
  /** `least` itself is too small. */
  readonly minExcluded: boolean;
  /** null = no bound. */
  readonly max: number | null;
  /** The library takes values below `least` too, as the reference does; forms and the command line do not. */
  readonly lenient: boolean;
  /** What to begin with. */
  readonly suggested: number;
}

/** A schedule as every part of this package knows it. */
export interface ScheduleEntry {
  readonly type: Exclude<Schedule, string>['type'];
  /** What a step commits; the parameter's name in capitals stands for its value. */
  readonly commits: string;
  /** What it is made of in a step's plan: a count in some order, or a bound; null where another schedule decides. */
  readonly plan: { readonly order: StepPlan['order'] } | { readonly limit: 'gamma' | 'tau' } | null;
  /** null: its name says all. */
  readonly parameter: ScheduleParameter | null;
}

/**
 * All schedules, in the order in which they are shown: the library's checks, the command line's notation and manual, the
 * server's schemas and the page's form come from here.
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

/** What the command line and the page begin with; the library's own default is the reference's, `'entropy'`. */
export const startingSchedule = { type: 'entropy-bounded', gamma: 0.01 } as const satisfies Schedule;

/** The types of schedules that have no parameter, which may be given by their name alone. */
export const plainTypes = scheduleTable.filter(({ parameter }) => parameter === null).map(({ type }) => type);

/** The entry of a type. */
export function scheduleEntry(type: ScheduleEntry['type']): ScheduleEntry {
  return scheduleTable.find((entry) => entry.type === type) as ScheduleEntry;
}

/** Whether a run draws random numbers in choosing positions; `false` says nothing of how tokens are chosen. */
export function drawsPositions(schedule: Schedule = 'entropy'): boolean {
  if (typeof schedule === 'string') return schedule === 'random';
  return schedule.type === 'blocks' ? drawsPositions(schedule.schedule) : schedule.type === 'random';
}
