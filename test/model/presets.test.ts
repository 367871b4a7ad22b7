import type { DiffusionLM, SamplingOptions, TokenOptions } from '../../lib';
import { type Checkpoint, openFamily } from '../support/families';
import { readGolden } from '../support/goldens';
import { closeModels } from '../support/models';

afterAll(closeModels);

/** A prompt that tiny-llada answers with many EOS. */
const { prompt: prefix } = readGolden<{ prompt: number[] }>(
  'families/sampling/tiny-llada--g32-b32-s16-eosinf.json',
);
const prompt = { prefix, maxNewTokens: 32, steps: 16 } satisfies TokenOptions;

/** What the options do: frames without the seed, which may differ. */
async function written(model: DiffusionLM, options: TokenOptions) {
  const commits: unknown[] = [];
  for await (const { step, committed, tokens } of model.denoiseTokens(options)) {
    commits.push([step, [...committed], [...tokens]]);
  }
  return commits;
}

const blocks = { type: 'blocks', length: 32, schedule: 'confidence' } as const;
const linear = { counts: { type: 'linear', eps: 0.001 }, filterOrder: 'top-p' } as const;
const threshold = { type: 'threshold', tau: 0.95, strict: true, atLeast: 'counts' } as const;
const grown = { type: 'blocks', length: 32, steps: 32, from: 'canvas', window: 'block' } as const;

/** Defaults of the families, written out; RND1's own are those of its golden traces. */
const presets: readonly [Checkpoint, SamplingOptions & Pick<TokenOptions, 'reserveEnd'>][] = [
  ['tiny-llada', { schedule: blocks, counts: 'even', confidence: 'raw', reserveEnd: false }],
  ['tiny-llada-moe', { schedule: blocks, counts: 'even', confidence: 'raw', reserveEnd: false }],
  ['tiny-a2d-qwen3', { schedule: blocks, counts: 'rounded', confidence: 'raw', reserveEnd: false }],
  ['tiny-dream', { schedule: 'entropy', ...linear, reserveEnd: false }],
  ['tiny-llada2', { schedule: { ...grown, schedule: threshold }, counts: 'even', reserveEnd: false }],
];

/** RND1's defaults. */
const rnd1 = {
  schedule: 'entropy',
  counts: 'proportional',
  confidence: 'filtered',
  filterOrder: 'top-k',
} as const;

test.each(presets)('%s has the sampler of its family, unless told otherwise', async (checkpoint, preset) => {
  const model = await openFamily(checkpoint);
  const own = await written(model, prompt);
  expect(own).toEqual(await written(model, { ...prompt, ...rnd1, ...preset }));
  expect(own).not.toEqual(await written(model, { ...prompt, ...rnd1, reserveEnd: true }));
});

describe('a sampler', () => {
  let model: DiffusionLM;
  beforeAll(async () => {
    model = await openFamily('tiny-llada');
  });

  test.each<[string, TokenOptions]>([
    ['independent counts', { counts: { type: 'linear', independent: true }, schedule: 'random' }],
    ['a drawn order', { algTemp: 0.3, schedule: 'margin' }],
    ['draws of tokens', { temperature: 0.8, topP: 0.9, filterOrder: 'top-p' }],
  ])('with %s depends on the seed alone', async (_, options) => {
    const [first, again, other] = await Promise.all(
      [1, 1, 2].map((seed) => written(model, { ...prompt, ...options, seed })),
    );
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
  });

  test('gives each canvas of a shared step what it gives it alone', async () => {
    const calls: TokenOptions[] = [
      { cfgScale: 1.5 },
      { zeroEosConfidence: true },
      { suppressEos: true },
      { predictionShift: 1 },
      { editing: { threshold: 0.3, maxPostSteps: 2 } },
      { algTemp: 0.5, seed: 3 },
      { temperature: 1, confidence: 'filtered', seed: 4 },
    ].map((options) => ({ ...prompt, ...options }) as TokenOptions);
    const together = await Promise.all(calls.map((options) => written(model, options)));
    for (const [i, options] of calls.entries()) expect(together[i]).toEqual(await written(model, options));
    const plain = await written(model, prompt);
    for (const commits of together) expect(commits).not.toEqual(plain);
  });

  test('never writes an EOS that is suppressed', async () => {
    const end = 371;
    const { tokens } = await model.generateTokens(prompt);
    expect(tokens).toContain(end);
    const options = { ...prompt, suppressEos: true };
    expect((await model.generateTokens(options)).tokens).not.toContain(end);
    const cut = await model.generateTokens({ ...prompt, cutAtEos: true });
    expect([...cut.tokens]).toEqual([...tokens.subarray(0, tokens.indexOf(end) + 1)]);
    expect(cut.finishReason).toBe('stop');
  });

  test('writes the same whether it skips idle steps or not', async () => {
    const options = { prefix: prompt.prefix, maxNewTokens: 6, steps: 15 };
    const [skipped, run] = await Promise.all([
      model.generateTokens(options),
      model.generateTokens({ ...options, idleSteps: 'run' }),
    ]);
    expect(run.tokens).toEqual(skipped.tokens);
    expect(run.steps).toBe(15);
    expect(skipped.steps).toBe(6);
  });

  test('raises a threshold’s least count from step to step', async () => {
    const threshold = { type: 'threshold', tau: 1, strict: true, atLeast: 'counts' } as const;
    const options = { ...prompt, maxNewTokens: 8, steps: 20, schedule: threshold } as const;
    for (const counts of ['proportional', { type: 'linear' }] as const) {
      const [skipped, run] = await Promise.all([
        written(model, { ...options, counts }),
        written(model, { ...options, counts, idleSteps: 'until-filled' }),
      ]);
      const committing = run.filter((one) => (one as [number, number[]])[1].length > 0);
      expect(skipped).toEqual(committing);
      expect(skipped.length).toBeGreaterThan(2);
    }
  });

  test('fills as many positions a step with edits as without', async () => {
    const sizes = async (options: TokenOptions) =>
      ((await written(model, { ...prompt, schedule: 'confidence', ...options })) as [number, number[]][]).map(
        ([, committed]) => committed.length,
      );
    const plain = await sizes({});
    expect(await sizes({ editing: { threshold: 1, maxPostSteps: 50 } })).toEqual(plain);
  });

  test('says which tokens it has edited', async () => {
    const reports: number[] = [];
    const off = model.onStep(({ edited }) => reports.push(edited));
    let edits = 0;
    for await (const { edited, committed } of model.denoiseTokens({
      ...prompt,
      editing: { threshold: 0.2 },
    })) {
      expect([...committed]).toEqual(expect.arrayContaining([...edited]));
      edits += edited.length;
    }
    await new Promise(setImmediate);
    off();
    expect(edits).toBeGreaterThan(0);
    expect(reports.reduce((sum, count) => sum + count, 0)).toBe(edits);
  });
});

test('the last block is whole unless the model sees no further', async () => {
  const model = await openFamily('tiny-llada2');
  const { maxPositions } = model.config.architecture;
  const longest = { prefix: new Int32Array(maxPositions - 3).fill(9), maxNewTokens: 3, steps: 1 };
  const schedule = { type: 'blocks', length: 48, from: 'canvas', window: 'block' } as const;
  const frames = model.denoiseTokens({ ...longest, schedule, initialFrame: true });
  expect((await frames.next()).value).toMatchObject({ tokens: { length: maxPositions } });
  await frames.return(undefined as never);
});

test.each([{ cfgScale: 1 }, { editing: { threshold: 0.5 } }])(
  'a causal model refuses %j',
  async (options) => {
    const model = await openFamily('tiny-qwen3');
    await expect(model.generateTokens({ prefix: [1], maxNewTokens: 2, ...options })).rejects.toThrow(
      `${Object.keys(options)[0]} cannot be given: the model writes from left to right`,
    );
  },
);
