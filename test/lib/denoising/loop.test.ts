import type { TokenFrame } from '../../../lib/api/types';
import { GoldenArrays, readGolden, type WithArrays } from '../../support/goldens';
import { commitsOf, expectFrame, toleranceOf } from '../../support/rounds';
import { optionsOf, roundsOf, type Trace } from '../../support/traces';
import { FakeSession } from '../runtime/fake-session';
import { play, prompt, start, vocabulary } from './runs';

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

  it('yield frames that are independent copies', async () => {
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

describe('drawing', () => {
  const drawn = { ...prompt, steps: 6, temperature: 1.5 };

  it('repeats itself by seed', async () => {
    const tokens = async (seed?: number | bigint) => (await play({ ...drawn, seed })).result.tokens;
    expect(await tokens(3)).toEqual(await tokens(3n));
    expect(await tokens(3)).not.toEqual(await tokens(4));
    const { result } = await play(drawn);
    expect(await tokens(result.seed)).toEqual(result.tokens);
  });

  it('never predicts banned tokens', async () => {
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
    // The last step commits it too, because it adds no entropy.
    expect(frames.map(({ committed }) => committed.includes(0))).toEqual([false, false, false, true]);
    expect(frames.at(-1)?.masked[0]).toBe(0);
    expect(frames[0]?.entropy[0]).toBe(0);
  });
});
