import { play, prompt, start } from './runs';

/** So many steps that nothing but an abort ends them soon. */
const endless = { ...prompt, steps: 3_000_000, initialFrame: true } as const;

describe('an abort arrives', () => {
  const controlled = () => {
    const controller = new AbortController();
    const abort = () => setImmediate(() => controller.abort(new Error('enough')));
    return { signal: controller.signal, abort };
  };

  test('while steps of a filled canvas are yielded', async () => {
    const { signal, abort } = controlled();
    const frames = start({ ...endless, idleSteps: 'run', schedule: 'confidence', counts: 'even', signal });
    let aborting = false;
    const run = (async () => {
      for await (const { masked } of frames) {
        if (aborting || masked.includes(1)) continue;
        aborting = true;
        abort();
      }
    })();
    await expect(run).rejects.toThrow('enough');
  });

  test('while steps without any positions are left out', async () => {
    const { signal, abort } = controlled();
    let rounds = 0;
    const draws = (_: number, positions: Int32Array) => {
      rounds++;
      return Array.from(positions, () => 0.999999);
    };
    const frames = start({ ...endless, counts: { type: 'linear', independent: true }, draws, signal });
    await frames.next();
    abort();
    await expect(frames.next()).rejects.toThrow('enough');
    expect(rounds).toBeLessThan(endless.steps);
  });
});

describe('draws', () => {
  const options = { ...prompt, schedule: 'random', steps: 4 } as const;

  test('of the right length are used', async () => {
    const { frames } = await play({ ...options, draws: (_, all) => Float32Array.from(all, (p) => p / 100) });
    // The largest come first.
    expect([...(frames[0]?.committed ?? [])]).toEqual([12, 13, 14]);
  });

  test.each<[unknown, string]>([
    [undefined, 'draws must return a list of numbers, but it returned undefined in step 1'],
    ['0.5', "draws must return a list of numbers, but it returned '0.5' in step 1"],
    [[0.5], 'draws must return a number for each of 12 positions, but it returned 1 in step 1'],
    [new Array(12).fill(1), 'draws must return numbers from 0 to below 1, but the one at 0 is 1 in step 1'],
    [
      new Array(12).fill('x'),
      "draws must return numbers from 0 to below 1, but the one at 0 is 'x' in step 1",
    ],
    [new Array(12), 'draws must return numbers from 0 to below 1, but the one at 0 is undefined in step 1'],
  ])('that are %p are refused', async (returned, message) => {
    await expect(play({ ...options, draws: () => returned as number[] })).rejects.toThrow(message);
  });
});
