import { getEventListeners } from 'node:events';
import { DiffusionLM, type TokenOptions } from '../../lib';
import { printedBy, tinyMoe } from './children';
import { failureOf, onCpu, open } from './support';

/** One step of about a second: what happens after the next two turns of the event loop happens in its middle. */
const long: TokenOptions = { prefix: [1], length: 3900, steps: 1, seed: 1 };
const longTokens = new Int32Array(4000).fill(9);
const short: TokenOptions = { prefix: [1, 2, 3], maxNewTokens: 12, steps: 6, temperature: 1, seed: 5 };

async function untilStepping(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate);
}

const disposed = { name: 'RND1Error', code: 'disposed' };
const everyMethod: Record<string, (model: DiffusionLM) => Promise<unknown>> = {
  generate: (model) => model.generate('?'),
  denoise: (model) => model.denoise('?').next(),
  infill: (model) => model.infill({ length: 1 }),
  denoiseInfill: (model) => model.denoiseInfill({ length: 1 }).next(),
  fill: (model) => model.fill('a___'),
  denoiseFill: (model) => model.denoiseFill('a___').next(),
  generateTokens: (model) => model.generateTokens(short),
  denoiseTokens: (model) => model.denoiseTokens(short).next(),
  forward: (model) => model.forward([1, 2]),
};

describe('dispose', () => {
  it('rejects what runs and what waits', async () => {
    const model = await open(tinyMoe);
    const running = [
      model.generateTokens(long),
      model.denoiseTokens(short).next(),
      model.forward(longTokens, { positions: [0] }),
      model.forward([1]),
    ];
    const outcomes = Promise.allSettled(running);
    await untilStepping();
    const late = [model.generateTokens(short), model.forward([2])];
    const lateOutcomes = Promise.allSettled(late);
    await Promise.all([model.dispose(), model.dispose()]);
    for (const outcome of [...(await outcomes), ...(await lateOutcomes)]) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: disposed });
    }
  });

  it.each(Object.keys(everyMethod))('%s fails after it', async (name) => {
    const model = await DiffusionLM.load(undefined, onCpu);
    const call = everyMethod[name] as (model: DiffusionLM) => Promise<unknown>;
    await call(model);
    await model.dispose();
    expect(await failureOf(() => call(model))).toMatchObject(disposed);
    await model.dispose();
    expect(model.info.device).toBe('cpu');
  });

  it('comes with `await using`, also when the block throws', async () => {
    let escaped: DiffusionLM | undefined;
    const failure = await failureOf(async () => {
      await using model = await open(tinyMoe);
      escaped = model;
      throw new Error('from the block');
    });
    expect(failure.message).toBe('from the block');
    expect(await failureOf(() => escaped?.forward([1]))).toMatchObject(disposed);
  });

  it('leaves other models of the same files alone', async () => {
    const [model, other] = [await open(tinyMoe), await open(tinyMoe)];
    const expected = await other.generateTokens(short);
    const running = other.generateTokens(long);
    await untilStepping();
    await model.dispose();
    expect((await running).tokens).toHaveLength(3902);
    expect(await other.generateTokens(short)).toEqual(expected);
  });
});

describe('abort', () => {
  let model: DiffusionLM;
  let expected: unknown;
  beforeAll(async () => {
    model = await open(tinyMoe);
    expected = await model.generateTokens(short);
  });
  afterEach(async () => expect(await model.generateTokens(short)).toEqual(expected));

  const calls: Record<string, (signal: AbortSignal) => Promise<unknown>> = {
    generateTokens: (signal) => model.generateTokens({ ...long, signal }),
    denoiseTokens: (signal) => model.denoiseTokens({ ...long, signal }).next(),
    forward: (signal) => model.forward(longTokens, { positions: [0], signal }),
    load: (signal) => DiffusionLM.load(tinyMoe, { ...onCpu, signal }),
  };

  it.each(Object.keys(calls))('%s rejects with the reason, before and during', async (name) => {
    const call = calls[name] as (typeof calls)[string];
    for (const reason of [new Error('enough'), 'a string', null, undefined]) {
      const early = AbortSignal.abort(reason);
      await expect(call(early)).rejects.toBe(early.reason);
    }
    const controller = new AbortController();
    const outcome = failureOf(() => call(controller.signal));
    await untilStepping();
    controller.abort(new Error('enough'));
    expect(await outcome).toBe(controller.signal.reason);
    expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
  });

  it('means nothing once the call has ended', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const result = await model.generateTokens({ ...short, signal });
    await model.forward([1], { signal });
    const other = await open(tinyMoe, { signal });
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    controller.abort();
    expect(result).toEqual(expected);
    expect(await other.generateTokens(short)).toEqual(expected);
  });

  it('of one call leaves those that share its step alone', async () => {
    const options = [3, 7, 11, 15].map((seed) => ({
      ...short,
      prefix: new Int32Array(900).fill(seed),
      seed,
    }));
    const alone = [];
    for (const given of options) alone.push(await model.generateTokens(given));
    const controllers = options.map(() => new AbortController());
    const together = options.map((given, i) =>
      model.generateTokens({ ...given, signal: controllers[i]?.signal }),
    );
    const outcomes = Promise.allSettled(together);
    await untilStepping();
    controllers[1]?.abort('enough');
    for (const [i, outcome] of (await outcomes).entries()) {
      expect(outcome).toEqual(
        i === 1 ? { status: 'rejected', reason: 'enough' } : { status: 'fulfilled', value: alone[i] },
      );
    }
  });
});

it('calls at the same time give what each gives alone', async () => {
  const model = await open(tinyMoe);
  const schedules = [
    'entropy',
    'confidence',
    'margin',
    'random',
    { type: 'entropy-bounded', gamma: 2 },
    { type: 'threshold', tau: 0.1 },
    { type: 'blocks', length: 5, schedule: 'margin' },
  ] as const;
  const options: TokenOptions[] = Array.from({ length: 21 }, (_, i) => ({
    prefix: Int32Array.from({ length: 1 + ((i * 7) % 40) }, (_, position) => 10 + i + position),
    maxNewTokens: 3 + ((i * 5) % 30),
    steps: 1 + (i % 9),
    schedule: schedules[i % schedules.length],
    temperature: i % 3,
    topK: i % 4 === 0 ? 20 : null,
    seed: i,
  }));
  const alone = [];
  for (const given of options) alone.push(await model.generateTokens(given));
  const forward = await model.forward([5, 6, 7]);
  const together = await Promise.all([
    ...options.map((given) => model.generateTokens(given)),
    model.forward([5, 6, 7]),
  ]);
  expect(together).toEqual([...alone, forward]);
});

describe('generators', () => {
  it('are free after return, whenever it comes', async () => {
    const model = await open(tinyMoe);
    const expected = await model.generateTokens(short);
    const [fresh, started, stepping] = [1, 2, 3].map(() => model.denoiseTokens(short));
    await started?.next();
    const pending = stepping?.next();
    await untilStepping();
    for (const frames of [fresh, started, stepping]) {
      expect(await frames?.return(undefined as never)).toEqual({ done: true, value: undefined });
      expect(await frames?.next()).toEqual({ done: true, value: undefined });
    }
    expect((await pending)?.value).toMatchObject({ step: 1 });
    expect(await model.generateTokens(short)).toEqual(expected);
  });

  it('that nobody asks stop nobody', async () => {
    const model = await open(tinyMoe);
    const abandoned = Array.from({ length: 20 }, () => model.denoiseTokens(short));
    await Promise.all(abandoned.map((frames) => frames.next()));
    const { forwards } = await model.generateTokens(short);
    expect(forwards).toBe(6);
    await model.dispose();
  });
});

describe('progress', () => {
  it('that throws ends the loading with what it threw', async () => {
    for (const thrown of [new Error('no more'), 'a string', undefined]) {
      const outcome = DiffusionLM.load(tinyMoe, {
        ...onCpu,
        onProgress: () => {
          throw thrown;
        },
      });
      await expect(outcome).rejects.toBe(thrown);
    }
  });

  it('may abort the loading', async () => {
    const controller = new AbortController();
    const onProgress = () => controller.abort('enough');
    await expect(DiffusionLM.load(tinyMoe, { ...onCpu, onProgress, signal: controller.signal })).rejects.toBe(
      'enough',
    );
    expect((await (await open(tinyMoe)).forward([1])).shape).toEqual([1, 512]);
  });
});

it('models that are collected without dispose end their threads', async () => {
  const printed = await printedBy(
    `const linux = process.platform === 'linux';
    const threads = () => (linux ? require('fs').readdirSync('/proc/self/task').length : 0);
    const used = async () => {
      const model = await DiffusionLM.load(tinyMoe, onCpu);
      return { model, logits: await model.forward([1, 2]) };
    };
    const { shape } = (await used()).logits;
    const few = threads();
    const pending = DiffusionLM.load(tinyMoe, onCpu).then((model) => model.generateTokens(long));
    // Held until they are counted: a collection may come at any time.
    const held = await Promise.all(Array.from({ length: 20 }, used));
    const many = threads();
    held.length = 0;
    const { tokens } = await pending;
    // What is collected is freed in a later turn, and a thread ends when a processor has time for it.
    const deadline = Date.now() + 60_000;
    while (threads() > few + 4 && Date.now() < deadline) {
      gc();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    const left = threads();
    const started = !linux || many >= few + 20;
    const ended = left <= few + 4;
    console.log(JSON.stringify({ shape, length: tokens.length, few, many, left, started, ended }));`,
    ['--expose-gc'],
  );
  expect(printed).toMatchObject({ shape: [2, 512], length: 4002, started: true, ended: true });
});
