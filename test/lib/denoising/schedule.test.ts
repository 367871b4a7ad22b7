import type { Schedule } from '../../../lib/api/types';
import { type Block, planBlocks } from '../../../lib/denoising/blocks';
import { type Counting, keepCount, nextRound } from '../../../lib/denoising/counts';
import { planRound } from '../../../lib/denoising/rounds';
import { readSchedule } from '../../../lib/denoising/schedule';
import { readGolden } from '../../support/goldens';

const counting: Counting = { type: 'proportional' };
const block = (size: number, rounds: number): Block => ({
  start: 0,
  end: size,
  size,
  before: 0,
  rounds,
  steps: rounds,
});
const plain = { eligible: null, strict: false, atLeast: 1 };

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
        round = nextRound(counting, block(total, rounds), round + 1, left);
        found.push(round);
      }
      expect({ total, rounds, found }).toEqual({ total, rounds, found: committing });
    }
  });

  it('are found without iterating over two billion rounds', () => {
    const rounds = 2 ** 31 - 1;
    const round = nextRound(counting, block(3, rounds), 1, 3);
    expect(keepCount(3, rounds, round)).toBe(2);
    expect(keepCount(3, rounds, round - 1)).toBe(3);
  });
});

describe('the plan of a round', () => {
  it('keeps by count in the requested order', () => {
    for (const order of ['entropy', 'confidence', 'margin', 'random'] as const) {
      const rules = { rule: { limit: 'keep', order }, counting } as const;
      expect(planRound(rules, block(15, 4), 1, 15)).toEqual({ ...plain, order, limit: 'keep', value: 11 });
      expect(planRound(rules, block(15, 4), 1, 12)).toEqual({ ...plain, order, limit: 'keep', value: 11 });
      expect(planRound(rules, block(15, 4), 4, 3)).toEqual({ ...plain, order, limit: 'keep', value: 0 });
    }
  });

  it('bounds by confidence, and commits all that are left in the last round', () => {
    for (const rule of [
      { limit: 'gamma', value: 0.5 },
      { limit: 'tau', value: 0.9, strict: true, atLeast: 2 },
    ] as const) {
      const rules = { rule, counting };
      expect(planRound(rules, block(15, 4), 3, 9)).toEqual({ ...plain, order: 'confidence', ...rule });
      expect(planRound(rules, block(15, 4), 4, 9)).toEqual({
        ...plain,
        order: 'confidence',
        limit: 'keep',
        value: 0,
      });
    }
  });

  it('bounds from below by counts', () => {
    const rule = { limit: 'tau', value: 0.9, strict: false, atLeast: null } as const;
    const rules = { rule, counting: { type: 'even' } } as const;
    const counts = [1, 2, 3, 4].map((round) => planRound(rules, block(15, 4), round, 9).atLeast);
    expect(counts).toEqual([4, 4, 4, 3]);
  });
});

describe('blocks', () => {
  /** The blocks of a canvas that is masked from position 2 on. */
  const planned = (total: number, steps: number, length: number | null) => {
    const masked = Int32Array.from({ length: total }, (_, i) => i + 2);
    const rule =
      length === null ? null : ({ length, steps: null, from: 'masked', window: 'canvas' } as const);
    return planBlocks({ tokens: new Int32Array(total + 3), masked }, steps, rule);
  };
  const shares = (total: number, steps: number, length: number | null) =>
    planned(total, steps, length).map(({ size, rounds }) => [size, rounds]);

  it('are one without a length', () => {
    expect(planned(15, 6, null)).toEqual([{ start: 2, end: 17, size: 15, before: 0, rounds: 6, steps: 6 }]);
    expect(planned(15, 6, 99)).toEqual([{ start: 2, end: 17, size: 15, before: 0, rounds: 6, steps: 6 }]);
    expect(planned(0, 6, 4)).toEqual([]);
  });

  it('follow one another, and so do their rounds', () => {
    expect(planned(10, 5, 4)).toEqual([
      { start: 2, end: 6, size: 4, before: 0, rounds: 2, steps: 2 },
      { start: 6, end: 10, size: 4, before: 2, rounds: 2, steps: 2 },
      { start: 10, end: 12, size: 2, before: 4, rounds: 1, steps: 1 },
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
      expect(planned(9, steps, 3).map(({ rounds }) => rounds)).toEqual([1, 1, 1]);
  });

  it('cover all positions, and their shares add up to the steps', () => {
    for (let total = 1; total <= 40; total++) {
      for (let length = 1; length <= total; length++) {
        for (let steps = 1; steps <= 50; steps++) {
          const blocks = planned(total, steps, length);
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
  const linear = { limit: 'keep', order: 'entropy' };
  const blocks = (length: number) => ({ length, steps: null, from: 'masked', window: 'canvas' });
  const threshold = { limit: 'tau', strict: false, atLeast: 1 };

  it('default to entropy, alone and in blocks', () => {
    expect(readSchedule()).toEqual({ rule: linear, blocks: null });
    expect(readSchedule({ type: 'blocks', length: 8 })).toEqual({ rule: linear, blocks: blocks(8) });
  });

  it('are names or objects', () => {
    expect(readSchedule('margin')).toEqual({ rule: { limit: 'keep', order: 'margin' }, blocks: null });
    expect(readSchedule({ type: 'random' })).toEqual({
      rule: { limit: 'keep', order: 'random' },
      blocks: null,
    });
    expect(readSchedule({ type: 'entropy-bounded', gamma: -1 }).rule).toEqual({ limit: 'gamma', value: -1 });
    const schedule = { type: 'blocks', length: 3, schedule: { type: 'threshold', tau: 1 } } as const;
    expect(readSchedule(schedule)).toEqual({ rule: { ...threshold, value: 1 }, blocks: blocks(3) });
  });

  it('may say more about thresholds and blocks', () => {
    expect(readSchedule({ type: 'threshold', tau: 0.5, strict: true, atLeast: 'counts' }).rule).toEqual({
      limit: 'tau',
      value: 0.5,
      strict: true,
      atLeast: null,
    });
    const given = { length: 8, steps: 3, from: 'canvas', window: 'block' } as const;
    expect(readSchedule({ type: 'blocks', ...given }).blocks).toEqual(given);
  });

  it.each<[unknown, ErrorConstructor, string]>([
    ['fastest', TypeError, "'fastest'"],
    [{ type: 'threshold', tau: 0.5, atLeast: 0 }, RangeError, 'schedule.atLeast'],
    [{ type: 'threshold', tau: 0.5, strict: 1 }, TypeError, 'schedule.strict'],
    [{ type: 'blocks', length: 4, steps: 0 }, RangeError, 'schedule.steps'],
    [{ type: 'blocks', length: 4, from: 'end' }, TypeError, 'schedule.from'],
    [{ type: 'blocks', length: 4, window: 'all' }, TypeError, 'schedule.window'],
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
