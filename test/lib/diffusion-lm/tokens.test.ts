import type { TokenFrame } from '../../../lib/api/types';
import { all, endOfText, load, mask, sessionOf } from './nano-model';

jest.mock('../../../lib/runtime/binding');

describe('token-level calls', () => {
  it('take their special ids from the checkpoint, and ban nothing', async () => {
    const model = await load();
    const frames: TokenFrame[] = await all(
      model.denoiseTokens({ prefix: [1, 2], maxNewTokens: 6, steps: 3 }),
    );
    expect(frames.map(({ step }) => step)).toEqual([1, 2, 3]);
    const [canvas] = sessionOf().batches[0] ?? [];
    expect([...(canvas?.tokens ?? [])]).toEqual([1, 2, mask, mask, mask, mask, mask, endOfText]);
    expect(canvas?.plan.banned).toHaveLength(0);
  });

  it('copy their arguments when they are called', async () => {
    const model = await load();
    const prefix = Int32Array.of(1, 2, 3);
    const banned = [4, 5];
    const generator = model.denoiseTokens({ prefix, banned, maxNewTokens: 4 });
    prefix.fill(9);
    banned.fill(9);
    await all(generator);
    const [canvas] = sessionOf().batches[0] ?? [];
    expect([...(canvas?.tokens.subarray(0, 3) ?? [])]).toEqual([1, 2, 3]);
    expect([...(canvas?.plan.banned ?? [])]).toEqual([4, 5]);
  });

  it('refuse wrong arguments with the first frame', async () => {
    const model = await load();
    const generator = model.denoiseTokens({ prefix: [264] });
    await expect(generator.next()).rejects.toThrow(RangeError);
    await expect(model.generateTokens({ banned: [-1] })).rejects.toThrow('banned[0] is -1');
    await expect(model.generateTokens(null as never)).rejects.toThrow(TypeError);
  });

  it('share steps and return what they return alone', async () => {
    const model = await load();
    const calls = [4, 7, 9].map((maxNewTokens) => ({
      prefix: [maxNewTokens],
      maxNewTokens,
      steps: 5,
      seed: 1,
    }));
    const alone = [];
    for (const call of calls) alone.push(await model.generateTokens(call));
    const before = sessionOf().batches.length;
    const together = await Promise.all(calls.map((call) => model.generateTokens(call)));
    expect(together).toEqual(alone);
    expect(sessionOf().batches[before]).toHaveLength(3);
    expect(sessionOf().batches.length - before).toBeLessThan(before);
  });
});
