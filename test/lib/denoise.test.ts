import { Batcher } from '../../lib/batcher';
import { buildCanvas, type CanvasModel } from '../../lib/canvas';
import { type Denoising, denoise } from '../../lib/denoise';
import { readSampling } from '../../lib/options';
import type { TokenFrame, TokenOptions, TokenResult } from '../../lib/types';
import { GoldenArrays, readGolden, type WithArrays } from '../support/goldens';
import { commitsOf, expectFrame, toleranceOf } from '../support/rounds';
import { optionsOf, roundsOf, type Trace } from '../support/traces';
import { FakeFlag, FakeSession } from './fake-session';

const vocabulary = 24;
const model: CanvasModel = {
  vocabulary,
  maxPositions: 128,
  maxNewTokens: 64,
  special: { mask: 7, eos: [5], pad: 3, bos: null },
};

function runOf(options: TokenOptions, defaultSteps = 64): Denoising {
  const canvas = buildCanvas(options, model);
  const sampling = readSampling(options);
  return {
    canvas,
    sampling: { ...sampling, steps: sampling.steps ?? Math.min(defaultSteps, canvas.masked.length) },
    banned: Int32Array.from(options.banned ?? []),
    stopAtEos: options.stopAtEos ?? false,
  };
}

function start(options: TokenOptions, session = new FakeSession(vocabulary)) {
  const batcher = new Batcher(session, () => new FakeFlag());
  return denoise(runOf(options), (canvas, signal) => batcher.step(canvas, signal));
}

async function play(options: TokenOptions, session = new FakeSession(vocabulary)) {
  const frames: TokenFrame[] = [];
  const generator = start(options, session);
  for (;;) {
    const next = await generator.next();
    if (next.done) return { frames, result: next.value, session };
    frames.push(next.value);
  }
}

const committedOf = (frames: readonly TokenFrame[]) =>
  frames.map(({ step, committed }) => [step, [...committed]]);
const prompt = { prefix: [10, 11, 12], maxNewTokens: 13 };

describe('replays of the reference', () => {
  interface Replay extends Trace, WithArrays {
    readonly states: readonly (readonly number[])[];
  }
  const replays = readGolden<{ name: string }[]>('replay/index.json')
    .map(({ name }) => ({ name, replay: readGolden<Replay>(`replay/${name}.json`) }))
    .filter(({ replay }) => replay.order === 'defined');

  it.each(replays)('$name', async ({ name, replay }) => {
    const arrays = new GoldenArrays(`replay/${name}.json`, replay);
    const [, length, size] = arrays.shape('logits') as [number, number, number];
    const table = arrays.floats('logits') as Float32Array;
    const indices = new Map(replay.states.map((tokens, index) => [tokens.join(), index]));
    const session = new FakeSession(size, (tokens) => {
      const index = indices.get(tokens.join());
      if (index === undefined) throw new RangeError(`the reference never came to ${tokens.join()}`);
      return table.slice(index * length * size, (index + 1) * length * size);
    });
    const { frames, result } = await play(optionsOf(replay), session);

    const expected = commitsOf(roundsOf(replay), replay);
    const actual = commitsOf(frames, replay);
    expect(actual.map(({ step, positions }) => [step, positions])).toEqual(
      expected.map(({ step, positions }) => [step, positions]),
    );
    actual.forEach((frame, i) => {
      expectFrame(frame, expected[i] as (typeof expected)[number], toleranceOf(replay, 0));
    });
    expect([...result.tokens]).toEqual(replay.tokens);
    if (!replay.position0_step_undefined) expect(result.forwards).toBe(expected.length);
    expect(replays.length).toBeGreaterThan(10);
  });
});

describe('rounds', () => {
  it('commit by the keep counts and are numbered from 1', async () => {
    const { frames, result, session } = await play({ ...prompt, steps: 4 });
    expect(frames.map(({ step, steps, committed }) => [step, steps, committed.length])).toEqual([
      [1, 4, 3],
      [2, 4, 3],
      [3, 4, 3],
      [4, 4, 3],
    ]);
    expect(frames.map(({ forwards }) => forwards)).toEqual([1, 2, 3, 4]);
    expect(session.batches).toHaveLength(4);
    expect(result).toMatchObject({ steps: 4, forwards: 4, finishReason: 'length' });
    expect([...result.positions]).toEqual(Array.from({ length: 12 }, (_, i) => i + 3));
    expect([...result.tokens.subarray(0, 3)]).toEqual([10, 11, 12]);
    expect(result.tokens.at(-1)).toBe(3);
    expect(result.tokens).toEqual(frames.at(-1)?.tokens);
  });

  it('that commit nothing are counted, but neither yielded nor computed', async () => {
    const { frames, result, session } = await play({ ...prompt, maxNewTokens: 4, steps: 9 });
    expect(frames.map(({ step, committed }) => [step, committed.length])).toEqual([
      [1, 1],
      [4, 1],
      [7, 1],
    ]);
    expect(session.batches).toHaveLength(3);
    expect(result).toMatchObject({ steps: 7, forwards: 3 });
  });

  it('draw by the round that follows the last commit, not by the one that commits', async () => {
    const { session } = await play({ ...prompt, maxNewTokens: 4, steps: 9, temperature: 1, seed: 5 });
    expect(session.batches.map(([canvas]) => canvas?.plan.round)).toEqual([1, 2, 5]);
  });

  it.each([0, 1])('are one shot with %d steps', async (steps) => {
    const { frames, result } = await play({ ...prompt, steps });
    expect(frames.map(({ step, committed }) => [step, committed.length])).toEqual([[1, 12]]);
    expect(result).toMatchObject({ steps: 1, forwards: 1 });
  });

  it('need no forward when nothing is masked', async () => {
    const { frames, result, session } = await play({ canvas: [1, 2], masked: [], seed: 9 });
    expect(frames).toEqual([]);
    expect(session.batches).toEqual([]);
    expect(result).toEqual({
      tokens: Int32Array.of(1, 2),
      positions: new Int32Array(),
      seed: 9n,
      steps: 0,
      forwards: 0,
      finishReason: 'length',
    });
  });

  it('leave frames that nothing changes later, and that change nothing', async () => {
    const options = { ...prompt, steps: 5 };
    const expected = (await play(options)).frames;
    const kept: TokenFrame[] = [];
    const generator = start(options);
    for (;;) {
      const next = await generator.next();
      if (next.done) break;
      const frame = next.value;
      kept.push(structuredClone(frame));
      for (const array of [frame.tokens, frame.masked, frame.committed, frame.predicted]) array.fill(0);
    }
    expect(kept).toEqual(expected);
  });

  it('carry scores where the position was masked, and nowhere else', async () => {
    const { frames } = await play({ ...prompt, steps: 3 });
    let masked = Uint8Array.from({ length: 16 }, (_, i) => (i >= 3 && i < 15 ? 1 : 0));
    for (const frame of frames) {
      masked.forEach((was, position) => {
        expect(frame.predicted[position] === -1).toBe(was === 0);
        expect(Number.isNaN(frame.confidence[position])).toBe(was === 0);
        expect(Number.isNaN(frame.entropy[position])).toBe(was === 0);
      });
      for (const position of frame.committed) {
        expect(masked[position]).toBe(1);
        expect(frame.tokens[position]).toBe(frame.predicted[position]);
        masked[position] = 0;
      }
      expect(frame.masked).toEqual(masked);
      masked = Uint8Array.from(frame.masked);
    }
    expect(masked.some((value) => value === 1)).toBe(false);
  });
});

describe('the entropy-bounded schedule', () => {
  const bounded = (gamma: number) => ({ type: 'entropy-bounded', gamma }) as const;

  it('may end early: later rounds are not counted', async () => {
    const { frames, result } = await play({ ...prompt, steps: 30, schedule: bounded(1e6) });
    expect(frames.map(({ step, committed }) => [step, committed.length])).toEqual([[1, 12]]);
    expect(result).toMatchObject({ steps: 1, forwards: 1 });
  });

  it('commits one at a time at 0, and what is left in the last round', async () => {
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
  it('commits at least one, and everything that is sure enough', async () => {
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

describe('drawing', () => {
  const drawn = { ...prompt, steps: 6, temperature: 1.5 };

  it('repeats itself by seed', async () => {
    const tokens = async (seed?: number | bigint) => (await play({ ...drawn, seed })).result.tokens;
    expect(await tokens(3)).toEqual(await tokens(3n));
    expect(await tokens(3)).not.toEqual(await tokens(4));
    const { result } = await play(drawn);
    expect(await tokens(result.seed)).toEqual(result.tokens);
  });

  it('never gives what is banned', async () => {
    const banned = Array.from({ length: vocabulary }, (_, id) => id).filter((id) => id % 3 !== 0);
    const { result } = await play({ ...drawn, banned });
    for (const position of result.positions) expect((result.tokens[position] as number) % 3).toBe(0);
  });
});

describe('position 0', () => {
  it('keeps its own token and comes last by confidence', async () => {
    const schedule = { type: 'entropy-bounded', gamma: 0 } as const;
    const { frames, result } = await play({ maxNewTokens: 5, steps: 9, schedule });
    expect(result.tokens[0]).toBe(7);
    // The last step takes it along: it adds no entropy.
    expect(frames.map(({ committed }) => committed.includes(0))).toEqual([false, false, false, true]);
    expect(frames.at(-1)?.masked[0]).toBe(0);
    expect(frames[0]?.entropy[0]).toBe(0);
  });
});

describe('the end of the text', () => {
  /** Logits that predict one given text at every position, surest where `sureness` is highest. */
  const writes = (text: readonly number[], sureness: readonly number[]) =>
    new FakeSession(vocabulary, (tokens) => {
      const logits = new Float32Array(tokens.length * vocabulary);
      text.forEach((token, i) => {
        logits[(2 + i) * vocabulary + token] = sureness[i] as number;
      });
      return logits;
    });
  const canvas = { prefix: [10, 11, 12], maxNewTokens: 7, steps: 6 };

  it('stops once everything before it is filled', async () => {
    const session = writes([20, 21, 5, 22, 23, 3], [8, 7, 9, 4, 3, 10]);
    const { frames, result } = await play({ ...canvas, stopAtEos: true }, session);
    // Pad and EOS come first; what they end is not there yet.
    expect(committedOf(frames)).toEqual([
      [1, [8]],
      [2, [5]],
      [3, [3]],
      [4, [4]],
    ]);
    expect(result).toMatchObject({ finishReason: 'stop', steps: 4, forwards: 4 });
    expect([...result.tokens]).toEqual([10, 11, 12, 20, 21, 5, 7, 7, 3, 3]);
  });

  it('is a pad as well as an EOS', async () => {
    const { result } = await play(
      { ...canvas, stopAtEos: true },
      writes([20, 3, 21, 21, 21, 21], [9, 8, 1, 1, 1, 1]),
    );
    expect(result).toMatchObject({ finishReason: 'stop', steps: 2 });
  });

  it('is said to have stopped it when the last round fills everything', async () => {
    const { result } = await play(
      { ...canvas, steps: 1, stopAtEos: true },
      writes([20, 5, 3, 3, 3, 3], [9, 9, 9, 9, 9, 9]),
    );
    expect(result).toMatchObject({ finishReason: 'stop', forwards: 1 });
  });

  it('means nothing unless it is asked for, nor outside the positions to fill', async () => {
    const session = writes([20, 21, 5, 22, 23, 3], [8, 7, 9, 4, 3, 10]);
    expect((await play(canvas, session)).result).toMatchObject({ finishReason: 'length', steps: 6 });
    const fixed = { ...canvas, prefix: [5, 3, 5], stopAtEos: true };
    const { result } = await play(fixed, writes([20, 21, 20, 22, 23, 20], [8, 7, 9, 4, 3, 10]));
    expect(result).toMatchObject({ finishReason: 'length', steps: 6 });
  });
});

describe('the generator', () => {
  it('computes nothing while nobody asks', async () => {
    const session = new FakeSession(vocabulary);
    const generator = start({ ...prompt, steps: 6 }, session);
    expect(session.batches).toHaveLength(0);
    await generator.next();
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(session.batches).toHaveLength(1);
    await generator.return(undefined as unknown as TokenResult);
    expect(await generator.next()).toEqual({ done: true, value: undefined });
    expect(session.batches).toHaveLength(1);
  });

  it('ends with the reason of its signal, before, between and during steps', async () => {
    const reason = new Error('stop it');
    const early = start({ ...prompt, signal: AbortSignal.abort(reason) });
    await expect(early.next()).rejects.toBe(reason);

    const between = new AbortController();
    const session = new FakeSession(vocabulary);
    const generator = start({ ...prompt, steps: 6, signal: between.signal }, session);
    await generator.next();
    between.abort(reason);
    await expect(generator.next()).rejects.toBe(reason);
    expect(session.batches).toHaveLength(1);

    const during = new AbortController();
    const slow = new FakeSession(vocabulary);
    slow.beforeResult = () => {
      during.abort(reason);
      return new Promise(() => {});
    };
    await expect(start({ ...prompt, signal: during.signal }, slow).next()).rejects.toBe(reason);
    expect(slow.flags[0]?.aborted).toBe(true);
  });

  it('ends with an error that names the step when the logits are not finite', async () => {
    const session = new FakeSession(vocabulary);
    session.alter = (result) => ({ ...result, notFinite: session.batches.length === 3 });
    const { frames, error } = await playUntilError({ ...prompt, steps: 6 }, session);
    expect(frames).toHaveLength(2);
    expect(error).toMatchObject({ name: 'RND1Error', code: 'not_finite' });
    expect((error as Error).message).toContain('step 3 of 6');
  });

  it('names the step of the whole canvas, not of the block', async () => {
    const session = new FakeSession(vocabulary);
    session.alter = (result) => ({ ...result, notFinite: session.batches.length === 5 });
    const schedule = { type: 'blocks', length: 5 } as const;
    const { error } = await playUntilError({ ...prompt, steps: 6, schedule }, session);
    expect((error as Error).message).toContain('step 5 of 6');
  });

  it('gives the same in company as alone', async () => {
    const calls = Array.from({ length: 7 }, (_, i) => ({
      prefix: [10 + i, 11],
      maxNewTokens: 4 + 2 * i,
      steps: 3 + i,
      temperature: i % 2,
      seed: i,
      schedule: i % 3 === 0 ? ('margin' as const) : ({ type: 'entropy-bounded', gamma: 1 } as const),
    }));
    const alone = [];
    for (const call of calls) alone.push((await play(call)).result);
    const session = new FakeSession(vocabulary);
    const batcher = new Batcher(session, () => new FakeFlag());
    const together = await Promise.all(
      calls.map(async (call) => {
        const generator = denoise(runOf(call), (canvas, signal) => batcher.step(canvas, signal));
        for (;;) {
          const next = await generator.next();
          if (next.done) return next.value;
        }
      }),
    );
    expect(together).toEqual(alone);
    expect(session.batches[0]).toHaveLength(7);
    expect(session.batches).toHaveLength(Math.max(...alone.map(({ forwards }) => forwards)));
  });

  async function playUntilError(options: TokenOptions, session: FakeSession) {
    const frames: TokenFrame[] = [];
    const generator = start(options, session);
    try {
      for await (const frame of generator) frames.push(frame);
    } catch (error) {
      return { frames, error };
    }
    return { frames, error: null };
  }
});
