import type { DiffusionLM, LoadOptions, TokenFrame, TokenOptions } from '../../lib';
import { type Checkpoint, openFamily } from '../support/families';
import { closeModels } from '../support/models';

afterAll(closeModels);

const prefix = [17, 230, 5, 99, 41, 8, 77, 120, 33, 6];

/** Frames and result of a run, the rows of each step, and the most bytes of caches. */
async function counted(model: DiffusionLM, options: TokenOptions) {
  const rows: number[] = [];
  let bytes = 0;
  const remove = model.onStep((report) => {
    rows.push(report.rows);
    bytes = Math.max(bytes, model.cacheBytes);
  });
  const frames: TokenFrame[] = [];
  const generator = model.denoiseTokens({ seed: 9, ...options });
  for (;;) {
    const next = await generator.next();
    if (!next.done) frames.push(next.value);
    // Reports come on a later tick.
    await new Promise(setImmediate);
    if (!next.done) continue;
    remove();
    return { frames, result: next.value, rows, bytes };
  }
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0);

describe('models that write blocks', () => {
  const threshold = { type: 'threshold', tau: 0.6, strict: true, atLeast: 'counts' } as const;
  const blocks = { type: 'blocks', length: 8, steps: 4, schedule: threshold } as const;
  const grown = { schedule: { ...blocks, from: 'canvas', window: 'block' } } as const;
  const schedules: readonly TokenOptions[] = [
    grown,
    { ...grown, temperature: 1, topK: 12 },
    { ...grown, editing: { threshold: 0.4, maxPostSteps: 3 } },
    { ...grown, idleSteps: 'run', remask: true },
    // The model's own blocks of 32, cut elsewhere.
    { schedule: { type: 'blocks', length: 12, window: 'block' }, steps: 12 },
    { schedule: 'confidence', steps: 9 },
  ];

  test.each<[Checkpoint, LoadOptions]>([
    ['tiny-llada2', {}],
    ['tiny-llada2', { dtype: 'bf16' }],
    ['tiny-llada2', { dtype: 'q8', threads: 3 }],
  ])('%s %j: the same frames', async (checkpoint, load) => {
    const model = await openFamily(checkpoint, load);
    for (const options of schedules) {
      const call = { prefix, maxNewTokens: 70, stopAtEos: false, ...options };
      const [cached, plain] = [await counted(model, call), await counted(model, { ...call, cache: false })];
      expect(cached.frames).toEqual(plain.frames);
      expect(cached.result).toEqual(plain.result);
      // Without windows a change in the first block changes all others.
      const most = sum(plain.rows) - (options.schedule === 'confidence' ? 0 : 1);
      expect(sum(cached.rows)).toBeLessThanOrEqual(most);
      expect(cached.bytes).toBeGreaterThan(0);
    }
  });

  test('compute a block and, once, the one before', async () => {
    const model = await openFamily('tiny-llada2');
    const other = [...prefix].reverse();
    const { rows } = await counted(model, { prefix: other, maxNewTokens: 54, stopAtEos: false, ...grown });
    expect(rows[0]).toBe(16);
    expect(new Set(rows.slice(1))).toEqual(new Set([8, 16]));
    expect(rows.filter((count) => count === 16)).toHaveLength(7);
  });

  test('share steps with and without caches', async () => {
    const model = await openFamily('tiny-llada2');
    const call = (i: number): TokenOptions => ({
      prefix: prefix.slice(0, 3 + i),
      maxNewTokens: 20 + i,
      ...(schedules[i % schedules.length] as TokenOptions),
      ...(i % 3 === 0 && { cache: false as const }),
    });
    const calls = [0, 1, 2, 3, 4, 5].map(call);
    const together = await Promise.all(calls.map((options) => model.generateTokens({ seed: 1, ...options })));
    for (const [i, options] of calls.entries()) {
      expect(together[i]).toEqual(await model.generateTokens({ seed: 1, ...options, cache: false }));
    }
  });

  test('have no other cache', async () => {
    const model = await openFamily('tiny-llada2');
    await expect(model.generateTokens({ prefix, cache: 'dual' })).rejects.toMatchObject({
      code: 'unsupported_model',
      message: expect.stringContaining('models with full attention'),
    });
  });
});

describe('models with full attention', () => {
  const blocks = { type: 'blocks', length: 8, schedule: 'confidence' } as const;
  const call: TokenOptions = { prefix, maxNewTokens: 24, steps: 12, schedule: blocks };

  test.each<Checkpoint>(['tiny-llada', 'tiny-llada-moe', 'tiny-dream'])(
    '%s: a cache that every step refreshes changes nothing',
    async (checkpoint) => {
      const model = await openFamily(checkpoint);
      const plain = await counted(model, call);
      for (const cache of ['prefix', 'dual'] as const) {
        const { frames, result } = await counted(model, { ...call, cache, refresh: 1 });
        expect(frames.map(({ tokens }) => tokens)).toEqual(plain.frames.map(({ tokens }) => tokens));
        expect(result).toEqual(plain.result);
      }
    },
  );

  test.each<[Checkpoint, 'prefix' | 'dual', number | undefined, number[]]>([
    ['tiny-llada', 'prefix', undefined, [34, 24, 24, 24, 34, 16, 16, 16, 34, 8, 8, 8]],
    ['tiny-llada', 'dual', undefined, [34, 8, 8, 8, 34, 8, 8, 8, 34, 8, 8, 8]],
    ['tiny-llada', 'dual', 2, [34, 8, 34, 8, 34, 8, 34, 8, 34, 8, 34, 8]],
    // The row before the block predicts its first position.
    ['tiny-dream', 'dual', undefined, [34, 9, 9, 9, 34, 9, 9, 9, 34, 9, 9, 9]],
  ])('%s, %s, refresh %s: rows', async (checkpoint, cache, refresh, expected) => {
    const model = await openFamily(checkpoint);
    const options = { ...call, cache, ...(refresh && { refresh }), counts: 'even' } as const;
    const { rows, bytes } = await counted(model, options);
    expect(rows).toEqual(expected);
    expect(bytes).toBeGreaterThan(0);
    expect(model.cacheBytes).toBe(0);
  });

  test('leave positions before a block alone in passes that do not compute them', async () => {
    const model = await openFamily('tiny-llada');
    const given = { prefix: [...prefix, 380, 380, 12], fillPrefix: true, remask: true } as const;
    for (const cache of ['prefix', 'dual'] as const) {
      const { tokens } = await model.generateTokens({ ...call, ...given, cache });
      expect(tokens).toHaveLength(prefix.length + 3 + 24);
    }
  });

  test.each([
    [{ refresh: 3 }, 'refresh needs cache'],
    [{ cache: 'dual', refresh: 0 }, 'refresh must be'],
    [{ cache: 'dual', cfgScale: 1 }, 'exclude each other'],
    [{ cache: true }, 'cache must be one of'],
  ])('%j is refused', async (options, problem) => {
    const model = await openFamily('tiny-llada');
    await expect(model.generateTokens({ ...call, ...(options as object) })).rejects.toThrow(problem);
  });
});
