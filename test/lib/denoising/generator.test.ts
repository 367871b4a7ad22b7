import type { TokenFrame, TokenOptions, TokenResult } from '../../../lib/api/types';
import { denoise } from '../../../lib/denoising/loop';
import { Batcher } from '../../../lib/runtime/batcher';
import { FakeFlag, FakeSession } from '../runtime/fake-session';
import { play, prompt, runOf, start, vocabulary } from './runs';

describe('the generator', () => {
  it('computes nothing until a frame is requested', async () => {
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

  it('yields the same in shared steps as alone', async () => {
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
