import { wholeBlocks } from '../../../lib/denoising/blocks';
import { denoise } from '../../../lib/denoising/loop';
import { drain } from '../../../lib/denoising/stream';
import { Batcher } from '../../../lib/runtime/batcher';
import { FakeFlag, FakeSession } from '../runtime/fake-session';
import { committedOf, play, runOf, vocabulary } from './runs';

describe('the end of the text', () => {
  /** Logits that predict a given text, with the highest confidence where `sureness` is highest. */
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
    // Pad and EOS are committed first, before the text that they end.
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

  it("gives finishReason 'stop' when the last round fills everything", async () => {
    const { result } = await play(
      { ...canvas, steps: 1, stopAtEos: true },
      writes([20, 5, 3, 3, 3, 3], [9, 9, 9, 9, 9, 9]),
    );
    expect(result).toMatchObject({ finishReason: 'stop', forwards: 1 });
  });

  it.each([
    ['length', [20, 21, 22, 5, 5], 6],
    ['stop', [20, 5, 22, 5, 5], 6],
  ] as const)(
    'among positions that were added to the last block is not the text’s: %s',
    async (reason, text, length) => {
      const run = runOf({
        prefix: [10, 11, 12],
        maxNewTokens: 3,
        reserveEnd: false,
        schedule: { type: 'blocks', length: 8, from: 'canvas', window: 'block' },
        stopAtEos: 'block',
      });
      const canvas = wholeBlocks(run.canvas, run.sampling.blocks, 128);
      expect(canvas).toMatchObject({ kept: length, tokens: { length: 8 } });
      const batcher = new Batcher(writes(text, [9, 9, 9, 9, 9]), () => new FakeFlag());
      const frames = denoise({ ...run, canvas }, (one, signal) => batcher.step(one, signal));
      const result = await drain(frames);
      expect(result.finishReason).toBe(reason);
      expect([...result.tokens]).toEqual([10, 11, 12, ...text.slice(0, 3)]);
    },
  );

  it('is ignored without stopAtEos, and outside the positions to fill', async () => {
    const session = writes([20, 21, 5, 22, 23, 3], [8, 7, 9, 4, 3, 10]);
    expect((await play(canvas, session)).result).toMatchObject({ finishReason: 'length', steps: 6 });
    const fixed = { ...canvas, prefix: [5, 3, 5], stopAtEos: true };
    const { result } = await play(fixed, writes([20, 21, 20, 22, 23, 20], [8, 7, 9, 4, 3, 10]));
    expect(result).toMatchObject({ finishReason: 'length', steps: 6 });
  });
});
