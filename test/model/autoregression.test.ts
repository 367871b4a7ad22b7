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
