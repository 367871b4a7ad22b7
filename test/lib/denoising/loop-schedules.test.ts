import type { TokenFrame } from '../../../lib/api/types';
import { committedOf, play, prompt } from './runs';

describe('the entropy-bounded schedule', () => {
  const bounded = (gamma: number) => ({ type: 'entropy-bounded', gamma }) as const;

  it('may end early: later rounds are not counted', async () => {
    const { frames, result } = await play({ ...prompt, steps: 30, schedule: bounded(1e6) });
    expect(frames.map(({ step, committed }) => [step, committed.length])).toEqual([[1, 12]]);
    expect(result).toMatchObject({ steps: 1, forwards: 1 });
  });

  it('commits one at a time at 0, and the rest in the last round', async () => {
    const { frames } = await play({ ...prompt, steps: 6, schedule: bounded(0) });
    expect(frames.map(({ step, committed }) => [step, committed.length])).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
      [4, 1],
      [5, 1],
      [6, 7],
    ]);
    for (const { committed, confidence } of frames.slice(0, 5)) {
      expect(confidence[committed[0] as number]).toBe(
        Math.max(...confidence.filter((c) => !Number.isNaN(c))),
      );
    }
  });

  it('below 0 idles until the last round, which commits the first scores', async () => {
    const { frames, result, session } = await play({ ...prompt, steps: 30, schedule: bounded(-1) });
    expect(frames.map(({ step, committed }) => [step, committed.length])).toEqual([[30, 12]]);
    expect(session.batches).toHaveLength(1);
    expect(result).toMatchObject({ steps: 30, forwards: 1 });
    const shot = await play({ ...prompt, steps: 1 });
    expect(result.tokens).toEqual(shot.result.tokens);
    expect(frames[0]?.entropy).toEqual(shot.frames[0]?.entropy);
  });

  it('below 0 idles in every block', async () => {
    const schedule = { type: 'blocks', length: 5, schedule: bounded(-1) } as const;
    const { frames, session } = await play({ ...prompt, steps: 12, schedule });
    expect(committedOf(frames)).toEqual([
      [5, [3, 4, 5, 6, 7]],
      [10, [8, 9, 10, 11, 12]],
      [12, [13, 14]],
    ]);
    expect(session.batches.map(([canvas]) => canvas?.plan.round)).toEqual([1, 6, 11]);
  });
});

describe('the threshold schedule', () => {
  it('commits at least one, and every position with a sufficient probability', async () => {
    const tau = 0.25;
    const { frames } = await play({ ...prompt, steps: 20, schedule: { type: 'threshold', tau } });
    expect(frames.length).toBeGreaterThan(1);
    let several = 0;
    for (const { committed, confidence } of frames) {
      const sure = [...confidence.keys()].filter((p) => (confidence[p] as number) >= Math.log(tau));
      if (sure.length > 0) expect([...committed]).toEqual(sure);
      else expect(committed).toHaveLength(1);
      if (sure.length > 1) several++;
    }
    expect(several).toBeGreaterThan(0);
  });
});

describe('further orders', () => {
  it.each(['confidence', 'margin', 'random'] as const)(
    '%s commits as many per round as entropy',
    async (order) => {
      const counts = (frames: TokenFrame[]) => frames.map(({ step, committed }) => [step, committed.length]);
      const entropy = await play({ ...prompt, steps: 5 });
      const other = await play({ ...prompt, steps: 5, schedule: order, seed: 1 });
      expect(counts(other.frames)).toEqual(counts(entropy.frames));
      expect(committedOf(other.frames)).not.toEqual(committedOf(entropy.frames));
      expect(other.session.batches[0]?.[0]?.plan.order).toBe(order);
    },
  );
});

describe('blocks', () => {
  it('are filled left to right, while later ones are scored and attended', async () => {
    const { frames, session } = await play({ ...prompt, steps: 6, schedule: { type: 'blocks', length: 5 } });
    expect(frames.map(({ step, steps }) => [step, steps])).toEqual(
      [1, 2, 3, 4, 5, 6].map((step) => [step, 6]),
    );
    const blockOf = (position: number) => Math.floor((position - 3) / 5);
    const blocks = frames.map(({ committed }) => [...new Set([...committed].map(blockOf))]);
    expect(blocks).toEqual([[0], [0], [0], [1], [1], [2]]);
    expect(frames[0]?.predicted.filter((id) => id !== -1)).toHaveLength(12);
    expect(session.batches.map(([canvas]) => canvas?.plan.eligible?.length ?? null)).toEqual([
      5,
      3,
      1,
      5,
      2,
      null,
    ]);
  });

  it('take as many rounds as there are blocks, if that is more', async () => {
    const { frames } = await play({ ...prompt, steps: 2, schedule: { type: 'blocks', length: 4 } });
    expect(frames.map(({ step, steps, committed }) => [step, steps, committed.length])).toEqual([
      [1, 3, 4],
      [2, 3, 4],
      [3, 3, 4],
    ]);
  });

  it('that end early leave their rounds unused', async () => {
    const schedule = {
      type: 'blocks',
      length: 6,
      schedule: { type: 'entropy-bounded', gamma: 1e6 },
    } as const;
    const { frames } = await play({ ...prompt, steps: 8, schedule });
    expect(frames.map(({ step, committed }) => [step, committed.length])).toEqual([
      [1, 6],
      [5, 6],
    ]);
  });

  it('as long as the canvas are no blocks', async () => {
    const whole = await play({ ...prompt, steps: 5, schedule: { type: 'blocks', length: 12 } });
    expect(committedOf(whole.frames)).toEqual(committedOf((await play({ ...prompt, steps: 5 })).frames));
  });
});
