import type { DiffusionLM, TokenFrame } from '../../lib';
import { type Checkpoint, openFamily } from '../support/families';
import { readGolden } from '../support/goldens';
import { closeModels } from '../support/models';

interface Trace {
  readonly checkpoint: Checkpoint;
  readonly args: { readonly max_new_tokens: number };
  readonly prompt: readonly number[];
  readonly tokens: readonly number[];
  readonly eos_token_id: number;
  readonly steps: readonly { readonly pred: number; readonly logprob: number }[];
}

const traces = ['tiny-qwen3--greedy-n24', 'tiny-qwen3-moe--greedy-n12-one', 'tiny-qwen3-moe--greedy-n24'];

async function run(model: DiffusionLM, options: Parameters<DiffusionLM['denoiseTokens']>[0]) {
  const frames: TokenFrame[] = [];
  const generator = model.denoiseTokens(options);
  for (;;) {
    const next = await generator.next();
    if (next.done) return { frames, result: next.value };
    frames.push(next.value);
  }
}

afterAll(closeModels);

describe.each(traces)('%s', (name) => {
  const trace = readGolden<Trace>(`families/sampling/${name}.json`);
  const { prompt, tokens, args, steps, checkpoint } = trace;
  let model: DiffusionLM;

  beforeAll(async () => {
    model = await openFamily(checkpoint);
  });

  test('is written token by token', async () => {
    const { frames, result } = await run(model, { prefix: prompt, maxNewTokens: args.max_new_tokens });
    expect([...result.tokens]).toEqual(tokens);
    expect(result).toMatchObject({ steps: steps.length, forwards: steps.length, finishReason: 'length' });
    expect(frames).toHaveLength(steps.length);
    for (const [index, { pred, logprob }] of steps.entries()) {
      const frame = frames[index] as TokenFrame;
      const position = prompt.length + index;
      expect([...frame.committed]).toEqual([position]);
      expect(frame.predicted[position]).toBe(pred);
      expect(Math.abs((frame.confidence[position] as number) - logprob)).toBeLessThan(1e-4);
      expect([...frame.tokens.subarray(0, position + 1)]).toEqual(tokens.slice(0, position + 1));
      expect([...frame.masked].indexOf(1)).toBe(index + 1 < steps.length ? position + 1 : -1);
    }
  });

  test('ends at an EOS token, unless told otherwise', async () => {
    const eosTokenId = steps[3]?.pred as number;
    const first = steps.findIndex(({ pred }) => pred === eosTokenId);
    const options = { prefix: prompt, maxNewTokens: args.max_new_tokens, eosTokenId };
    const { result } = await run(model, options);
    expect(result).toMatchObject({ steps: first + 1, finishReason: 'stop' });
    expect([...result.tokens]).toEqual(tokens.slice(0, prompt.length + first + 1));
    expect([...result.positions]).toEqual(Array.from({ length: first + 1 }, (_, i) => prompt.length + i));
    expect((await run(model, { ...options, stopAtEos: false })).result.tokens).toEqual(
      Int32Array.from(tokens),
    );
  });

  test('many at once are what each is alone', async () => {
    const options = (seed: number) => ({ prefix: prompt, maxNewTokens: 6, temperature: 1.2, topK: 20, seed });
    const seeds = [1, 2, 3, 4, 5];
    const together = await Promise.all(seeds.map((seed) => run(model, options(seed))));
    for (const [i, seed] of seeds.entries()) {
      const alone = await run(model, options(seed));
      expect(together[i]?.result.tokens).toEqual(alone.result.tokens);
    }
    expect(new Set(together.map(({ result }) => result.tokens.join())).size).toBeGreaterThan(1);
  });
});

describe('with and without a cache', () => {
  const prefix = [319, 212, 17, 4, 88, 301, 12];
  const greedy = { prefix, maxNewTokens: 12, initialFrame: true, stopAtEos: false, seed: 3 };

  /** What one run computes: rows of each step, and the most bytes in use. */
  async function counted(model: DiffusionLM, options: Parameters<DiffusionLM['denoiseTokens']>[0]) {
    const rows: number[] = [];
    let bytes = 0;
    const remove = model.onStep((report) => {
      rows.push(report.rows);
      bytes = Math.max(bytes, model.cacheBytes);
    });
    const { frames, result } = await run(model, options);
    // Reports come on a later tick.
    await new Promise(setImmediate);
    remove();
    return { frames, result, rows, bytes };
  }

  test.each([
    ['tiny-qwen3', {}],
    ['tiny-qwen3', { dtype: 'bf16' }],
    ['tiny-qwen3-moe', {}],
    ['tiny-qwen3-moe', { dtype: 'f16' }],
  ] as const)('%s %j: the same frames', async (checkpoint, load) => {
    const model = await openFamily(checkpoint, load);
    // Texts that begin differently have nothing in common.
    const begins = (token: number) => ({ ...greedy, prefix: [token, ...prefix.slice(1)] });
    const first = 'dtype' in load ? 40 : 30;
    for (const options of [begins(first), { ...begins(first + 1), temperature: 1.1, topP: 0.9, seed: 4 }]) {
      const cached = await counted(model, options);
      const plain = await counted(model, { ...options, cache: false });
      expect(cached.frames).toEqual(plain.frames);
      expect(cached.result).toEqual(plain.result);
      expect(cached.rows).toEqual([prefix.length, ...new Array(11).fill(1)]);
      expect(plain.rows).toEqual(Array.from({ length: 12 }, (_, i) => prefix.length + 1 + i));
    }
  });

  test('many at once share steps', async () => {
    const model = await openFamily('tiny-qwen3');
    const options = (i: number) => ({
      prefix: prefix.slice(0, 2 + i),
      maxNewTokens: 8,
      cache: i % 3 === 0 ? (false as const) : undefined,
      stopAtEos: false,
    });
    const together = await Promise.all([0, 1, 2, 3, 4].map((i) => run(model, options(i))));
    for (const [i, { frames }] of together.entries()) {
      expect(frames).toEqual((await run(model, { ...options(i), cache: false })).frames);
    }
  });

  test('is kept for a text that begins alike, and freed when a run aborts', async () => {
    const model = await openFamily('tiny-qwen3', { threads: 1 });
    const { layers, maxPositions } = model.config.architecture;
    const perPosition = layers.reduce(
      (sum, { attention }) => sum + 2 * 4 * attention.keyValueHeads * attention.headDim,
      0,
    );
    const bytes = Math.min(maxPositions, 1024) * perPosition;
    const left = model.denoiseTokens(greedy);
    await left.next();
    await left.next();
    expect(model.cacheBytes).toBe(bytes);
    await left.return(undefined as never);
    expect(model.cacheBytes).toBe(bytes);

    const controller = new AbortController();
    const aborted = model.denoiseTokens({ ...greedy, signal: controller.signal });
    await aborted.next();
    const step = aborted.next();
    controller.abort(new Error('enough'));
    await expect(step).rejects.toThrow('enough');
    expect(model.cacheBytes).toBe(0);
    const { rows } = await counted(model, greedy);
    expect(rows[0]).toBe(prefix.length);
    await model.dispose();
    expect(model.cacheBytes).toBe(0);
  });

  test('a text that goes on computes what is new', async () => {
    const model = await openFamily('tiny-qwen3', { threads: 3 });
    const first = await counted(model, greedy);
    const more = { ...greedy, prefix: [...first.result.tokens, 7, 250, 3] };
    const next = await counted(model, more);
    const plain = await counted(model, { ...more, cache: false });
    expect(next.frames).toEqual(plain.frames);
    expect(next.result).toEqual(plain.result);
    // The last token of a text is written and not yet computed.
    expect(next.rows).toEqual([4, ...new Array(11).fill(1)]);
    // Its own text is no news at all: one row predicts the next token.
    expect((await counted(model, more)).rows).toEqual(new Array(12).fill(1));
  });

  test('a run for which there is no room does without', async () => {
    const model = await openFamily('tiny-qwen3');
    const small = await openFamily('tiny-qwen3', { maxCacheBytes: 100 });
    expect(small.info.maxCacheBytes).toBe(100);
    const { frames, rows } = await counted(small, greedy);
    expect(frames).toEqual((await run(model, greedy)).frames);
    expect(rows[1]).toBe(prefix.length + 2);
  });

  test.each(['prefix', 'dual'] as const)('%s is for models with full attention', async (cache) => {
    const model = await openFamily('tiny-qwen3');
    await expect(model.generateTokens({ ...greedy, cache })).rejects.toMatchObject({
      code: 'unsupported_model',
      message: expect.stringContaining(cache),
    });
    await expect(model.generateTokens({ ...greedy, cache: 'all' as never })).rejects.toThrow(TypeError);
  });
});

describe('a causal model', () => {
  let model: DiffusionLM;

  beforeAll(async () => {
    model = await openFamily('tiny-qwen3');
  });

  test.each([
    [{ prefix: [], bosTokenId: null }, /prefix must hold at least one token/],
    [{ prefix: [1], suffix: [2] }, /suffix cannot be given/],
    [{ canvas: [1, 0, 2], masked: [1], maskTokenId: 0 }, /masked must be the last positions of the canvas/],
    [{ canvas: [1, 0, 2, 0], masked: [1, 3], maskTokenId: 0 }, /masked must be the last positions/],
    [{ canvas: [0, 1], masked: [0, 1], maskTokenId: 0 }, /prefix must hold at least one token/],
  ] as const)('refuses %j', async (options, message) => {
    await expect(model.generateTokens({ maxNewTokens: undefined, ...options })).rejects.toThrow(message);
  });

  test('continues a given canvas, whatever the schedule', async () => {
    const prefix = [319, 212, 17];
    const { result } = await run(model, { prefix, maxNewTokens: 2 });
    const given = { canvas: [...prefix, 0, 0], masked: [3, 4] };
    expect((await run(model, given)).result.tokens).toEqual(result.tokens);
    const scheduled = { prefix, maxNewTokens: 2, schedule: 'random', steps: 1 } as const;
    expect((await run(model, scheduled)).result.tokens).toEqual(result.tokens);
  });

  test('begins with BOS if nothing else is given', async () => {
    const { result } = await run(model, { prefix: [], bosTokenId: 343, maxNewTokens: 3 });
    expect([...result.tokens]).toEqual([343, ...result.tokens.subarray(1)]);
    expect([...result.positions]).toEqual([1, 2]);
  });

  test('holds no token with a meaning where nothing is written yet', async () => {
    const options = { prefix: [1], maxNewTokens: 2, initialFrame: true };
    const { frames } = await run(model, { ...options, eosTokenId: [0, 1], padTokenId: 2 });
    expect([...(frames[0] as TokenFrame).tokens]).toEqual([1, 3, 3]);
  });
});
