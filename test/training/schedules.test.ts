import { readSchedule, scheduleFactor, scheduleKinds } from '../../lib/training/schedules';
import { readGolden } from '../support/goldens';

const golden = readGolden<{
  readonly steps: number;
  readonly warmup: number;
  readonly decay: number;
  readonly floor: number;
  readonly multipliers: Readonly<Record<(typeof scheduleKinds)[number], readonly number[]>>;
}>('training/schedules.json');

test.each(scheduleKinds)('%s gives the golden factors', (kind) => {
  const { steps, warmup, decay, floor, multipliers } = golden;
  const schedule = readSchedule({ kind, warmup, decay, floor }, steps);
  const factors = Array.from({ length: steps }, (_, step) => scheduleFactor(schedule, step, steps));
  factors.forEach((factor, step) => {
    expect(factor).toBeCloseTo(multipliers[kind][step] as number, 14);
  });
});

test('warmup and decay below 1 are shares of the steps', () => {
  expect(readSchedule({ kind: 'wsd', warmup: 0.02, decay: 0.2 }, 1000)).toEqual({
    kind: 'wsd',
    warmup: 20,
    decay: 200,
    floor: 0,
  });
  expect(readSchedule({ warmup: 0.02 }, 10).warmup).toBe(1);
});

test('an end without decay stays at 1', () => {
  const schedule = readSchedule({ kind: 'wsd', decay: 0 }, 5);
  expect(Array.from({ length: 5 }, (_, step) => scheduleFactor(schedule, step, 5))).toEqual([1, 1, 1, 1, 1]);
});

test.each([
  [{ kind: 'exponential' }, /schedule\.kind must be one of 'constant'/],
  [{ warmup: -1 }, /schedule\.warmup must be/],
  [{ warmup: 11 }, /schedule\.warmup must be an integer from 0 to 10/],
  [{ decay: 2.5 }, /schedule\.decay must be an integer/],
  [{ floor: 2 }, /schedule\.floor must be/],
  [{ warmUp: 1 }, /did you mean 'warmup'/],
])('refuses %j', (schedule, message) => {
  expect(() => readSchedule(schedule as object, 10)).toThrow(message);
});
