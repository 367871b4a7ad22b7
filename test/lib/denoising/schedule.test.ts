import type { Schedule } from '../../../lib/api/types';
import {
  keepCount,
  nextRound,
  planBlocks,
  planRound,
  type Rule,
  readSchedule,
} from '../../../lib/denoising/schedule';
import { readGolden } from '../../support/goldens';

const linear: Rule = { limit: 'keep', order: 'entropy' };

describe('keep counts', () => {
  interface Case {
    readonly total: number;
    readonly num_steps: number;
    readonly keep: readonly number[];
  }
  const { cases } = readGolden<{ cases: Case[] }>('pure/schedule.json');

  it('are those of the reference, to the last one', () => {
    expect(cases.length).toBeGreaterThan(100);
    for (const { total, num_steps: rounds, keep } of cases) {
      const counts = keep.map((_, i) => keepCount(total, rounds, i + 1));
      expect({ total, rounds, counts }).toEqual({ total, rounds, counts: keep });
      expect(keepCount(total, rounds, rounds)).toBe(0);
    }
  });

  it('are those of f32, not of double or exact arithmetic', () => {
    expect(keepCount(100, 50, 21)).toBe(58);
    expect(keepCount(100, 100, 41)).toBe(58);
  });

  it('name the rounds that commit something', () => {
    for (const { total, num_steps: rounds, keep } of cases.filter(({ num_steps }) => num_steps < 200)) {
      const committing = [...keep, 0].flatMap((kept, i, all) =>
        kept < (all[i - 1] ?? total) ? [i + 1] : [],
      );
      const found: number[] = [];
      for (let left = total, round = 0; left > 0; left = keepCount(total, rounds, round)) {
        round = nextRound(linear, total, rounds, round + 1, left);
        found.push(round);
      }
      expect({ total, rounds, found }).toEqual({ total, rounds, found: committing });
    }
  });

  it('are found without iterating over two billion rounds', () => {
    const rounds = 2 ** 31 - 1;
    const round = nextRound(linear, 3, rounds, 1, 3);
    expect(keepCount(3, rounds, round)).toBe(2);
    expect(keepCount(3, rounds, round - 1)).toBe(3);
  });
});

describe('the plan of a round', () => {
  it('keeps by count in the requested order', () => {
    for (const order of ['entropy', 'confidence', 'margin', 'random'] as const) {
      expect(planRound({ limit: 'keep', order }, 15, 4, 1)).toEqual({ order, limit: 'keep', value: 11 });
      expect(planRound({ limit: 'keep', order }, 15, 4, 4)).toEqual({ order, limit: 'keep', value: 0 });
    }
  });

  it('bounds by confidence, and commits all that are left in the last round', () => {
    for (const rule of [
      { limit: 'gamma', value: 0.5 },
      { limit: 'tau', value: 0.9 },
    ] as const) {
      expect(planRound(rule, 15, 4, 3)).toEqual({ order: 'confidence', ...rule });
      expect(planRound(rule, 15, 4, 4)).toEqual({ order: 'confidence', limit: 'keep', value: 0 });
      expect(nextRound(rule, 15, 4, 2, 15)).toBe(2);
    }
  });
});

describe('blocks', () => {
  const shares = (total: number, steps: number, length: number | null) =>
    planBlocks(total, steps, length).map(({ size, rounds }) => [size, rounds]);

  it('are one without a length', () => {
    expect(planBlocks(15, 6, null)).toEqual([{ start: 0, size: 15, before: 0, rounds: 6 }]);
    expect(planBlocks(15, 6, 99)).toEqual([{ start: 0, size: 15, before: 0, rounds: 6 }]);
    expect(planBlocks(0, 6, 4)).toEqual([]);
  });

  it('follow one another, and so do their rounds', () => {
    expect(planBlocks(10, 5, 4)).toEqual([
      { start: 0, size: 4, before: 0, rounds: 2 },
      { start: 4, size: 4, before: 2, rounds: 2 },
      { start: 8, size: 2, before: 4, rounds: 1 },
    ]);
  });

  it('share by the largest remainder, the earlier one first', () => {
    expect(shares(10, 6, 4)).toEqual([
      [4, 3],
      [4, 2],
      [2, 1],
    ]);
    expect(shares(9, 5, 3)).toEqual([
      [3, 2],
      [3, 2],
      [3, 1],
    ]);
  });

  it('get at least one round each, if necessary at the cost of a larger one', () => {
    expect(shares(17, 3, 8)).toEqual([
      [8, 1],
      [8, 1],
      [1, 1],
    ]);
    expect(shares(17, 8, 8)).toEqual([
      [8, 4],
      [8, 3],
      [1, 1],
    ]);
  });

  it('get one round each when there are fewer steps than blocks', () => {
    for (const steps of [0, 1, 2])
      expect(planBlocks(9, steps, 3).map(({ rounds }) => rounds)).toEqual([1, 1, 1]);
  });

  it('cover all positions, and their shares add up to the steps', () => {
    for (let total = 1; total <= 40; total++) {
      for (let length = 1; length <= total; length++) {
        for (let steps = 1; steps <= 50; steps++) {
          const blocks = planBlocks(total, steps, length);
          const sum = (of: (block: (typeof blocks)[number]) => number) =>
            blocks.reduce((a, b) => a + of(b), 0);
          const quota = (size: number) => (Math.max(steps, blocks.length) * size) / total;
          const off = blocks.map(({ size, rounds }) => Math.abs(rounds - quota(size)));
          const good =
            sum(({ size }) => size) === total &&
            sum(({ rounds }) => rounds) === Math.max(steps, blocks.length) &&
            blocks.every(({ rounds }) => rounds >= 1) &&
            Math.max(...off) < 1 + 1e-9;
          if (!good) throw new Error(`${steps} steps for ${total} by ${length}: ${JSON.stringify(blocks)}`);
        }
      }
    }
  });
});

describe('schedules as options', () => {
  it('default to entropy, alone and in blocks', () => {
    expect(readSchedule()).toEqual({ rule: linear, blockLength: null });
    expect(readSchedule({ type: 'blocks', length: 8 })).toEqual({ rule: linear, blockLength: 8 });
  });

  it('are names or objects', () => {
    expect(readSchedule('margin')).toEqual({ rule: { limit: 'keep', order: 'margin' }, blockLength: null });
    expect(readSchedule({ type: 'random' })).toEqual({
      rule: { limit: 'keep', order: 'random' },
      blockLength: null,
    });
    expect(readSchedule({ type: 'entropy-bounded', gamma: -1 }).rule).toEqual({ limit: 'gamma', value: -1 });
    const schedule = { type: 'blocks', length: 3, schedule: { type: 'threshold', tau: 1 } } as const;
    expect(readSchedule(schedule)).toEqual({ rule: { limit: 'tau', value: 1 }, blockLength: 3 });
  });

  it.each<[unknown, ErrorConstructor, string]>([
    ['fastest', TypeError, "'fastest'"],
    [null, TypeError, 'null'],
    [7, TypeError, '7'],
    ['entropy-bounded', TypeError, "'entropy-bounded'"],
    [{ type: 'linear' }, TypeError, "'linear'"],
    [{ type: 'entropy-bounded' }, TypeError, 'gamma'],
    [{ type: 'entropy-bounded', gamma: Number.NaN }, RangeError, 'NaN'],
    [{ type: 'threshold', tau: 0 }, RangeError, '0'],
    [{ type: 'threshold', tau: 1.5 }, RangeError, '1.5'],
    [{ type: 'threshold', tau: '0.5' }, TypeError, "'0.5'"],
    [{ type: 'blocks' }, TypeError, 'length'],
    [{ type: 'blocks', length: 0 }, RangeError, '0'],
    [{ type: 'blocks', length: 2.5 }, RangeError, '2.5'],
    [{ type: 'blocks', length: 2, schedule: { type: 'blocks', length: 2 } }, TypeError, 'blocks'],
    [{ type: 'blocks', length: 2, schedule: 'none' }, TypeError, "'none'"],
  ])('%p is refused', (schedule, kind, quoted) => {
    const read = () => readSchedule(schedule as Schedule);
    expect(read).toThrow(kind);
    expect(read).toThrow(quoted);
  });

  test.each([
    ['entropy-bounded', "schedule must be { type: 'entropy-bounded', gamma: 0.01 }, not 'entropy-bounded'"],
    ['threshold=0.9', "schedule must be { type: 'threshold', tau: 0.9 }, not 'threshold=0.9'"],
    ['entropi', "'random', or { type: 'entropy-bounded', gamma: 0.01 }, { type: 'threshold', tau: 0.9 }"],
  ])('%s says what it takes', (name, message) => {
    expect(() => readSchedule(name as never)).toThrow(message);
  });
});
