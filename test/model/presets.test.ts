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
const grown = { type: 'blocks', length: 32, from: 'canvas', window: 'block' } as const;

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

test('the steps that are given are those of all blocks, whatever a block has of its own', async () => {
  const model = await openFamily('tiny-llada2');
  const call = { prefix: [1, 2, 3], maxNewTokens: 61, stopAtEos: false, idleSteps: 'run' } as const;
  const stepsOf = async (steps?: number) => {
    const frames = await frameNumbers(model, { ...call, steps });
    return frames.at(-1);
  };
  expect(await stepsOf()).toEqual([64, 64]);
  expect(await stepsOf(10)).toEqual([10, 10]);
  expect(await stepsOf(1)).toEqual([2, 2]);
});

/** Numbers of the frames, and of all steps announced. */
async function frameNumbers(model: DiffusionLM, options: TokenOptions) {
  const numbers: [number, number][] = [];
  const frames = model.denoiseTokens(options);
  for (;;) {
    const next = await frames.next();
    if (next.done) {
      expect(next.value.steps).toBe(numbers.at(-1)?.[0]);
      return numbers;
    }
    numbers.push([next.value.step, next.value.steps]);
  }
}

test.each<[Checkpoint, TokenOptions]>([
  // The second pass that Fast-dLLM computes for each block is beyond its only round.
  [
    'tiny-llada',
    {
      steps: 2,
      schedule: { type: 'blocks', length: 16, schedule: 'confidence' },
      cache: 'dual',
      idleSteps: 'until-filled',
    },
  ],
  // The last pass of a block finds nothing to edit.
  ['tiny-llada', { steps: 4, editing: { threshold: 0.5 }, schedule: { type: 'blocks', length: 16 } }],
  [
    'tiny-llada',
    { steps: 4, editing: { threshold: 0.5, maxPostSteps: 1 }, schedule: { type: 'blocks', length: 16 } },
  ],
])(
  '%s %j: numbers of steps increase to the result’s, within the announced ones',
  async (checkpoint, options) => {
    const numbers = await frameNumbers(await openFamily(checkpoint), { ...prompt, ...options });
    for (const [i, [step, steps]] of numbers.entries()) {
      expect(step).toBeGreaterThan(numbers[i - 1]?.[0] ?? 0);
      expect(step).toBeLessThanOrEqual(steps);
    }
    expect(numbers.length).toBeGreaterThan(1);
  },
);

test('guidance and whole blocks need a mask token', async () => {
  const given = { canvas: [1, 2, 3], masked: [2], maskTokenId: null as never };
  for (const [checkpoint, options] of [
    ['tiny-llada', { cfgScale: 1 }],
    ['tiny-llada2', {}],
  ] as const) {
    const model = await openFamily(checkpoint);
    await expect(model.generateTokens({ ...given, ...options })).rejects.toThrow('maskTokenId is needed');
  }
  const { tokens } = await (await openFamily('tiny-llada')).generateTokens(given);
  expect(tokens).toHaveLength(3);
});

const causal = { prefix: [1], maxNewTokens: 4 };

test.each<TokenOptions>([
  { cfgScale: 1 },
  { editing: { threshold: 0.5 } },
  { algTemp: 1 },
  { zeroEosConfidence: true },
  { zeroConfidence: [3] },
  { remask: true },
  { idleSteps: 'run' },
  { addEos: true },
  { reserveEnd: true },
  { fillPrefix: true },
  { predictionShift: 0 },
  { draws: () => [] },
])('a causal model refuses %p', async (options) => {
  const model = await openFamily('tiny-qwen3');
  await expect(model.generateTokens({ ...causal, ...options })).rejects.toThrow(
    `${Object.keys(options)[0]} cannot be given: the model writes from left to right`,
  );
});

test('a causal model takes options that ask for nothing, and cuts at an EOS', async () => {
  const model = await openFamily('tiny-qwen3');
  const call = { ...causal, stopAtEos: false } as const;
  const { tokens } = await model.generateTokens(call);
  const idle = {
    cfgScale: 0,
    zeroConfidence: [],
    reserveEnd: false,
    fillPrefix: false,
    predictionShift: 1,
  } as const;
  expect((await model.generateTokens({ ...call, ...idle, editing: null })).tokens).toEqual(tokens);
  const eosTokenId = tokens[2] as number;
  const cut = await model.generateTokens({ ...call, eosTokenId, cutAtEos: true });
  expect([...cut.tokens]).toEqual([...tokens.subarray(0, tokens.indexOf(eosTokenId, 1) + 1)]);
  expect(cut.finishReason).toBe('stop');
});
