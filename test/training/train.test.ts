import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DiffusionLM } from '../../lib';
import { type TrainStep, train } from '../../lib/training';
import { checkpointOf, eventsOf, microRun, numbersOf, writeTokens } from './runs';
import { closeTrainers, goldenFolder, scratchFolder } from './support';

afterEach(closeTrainers);

/** All parameters' groups. */
const groups = ['attention', 'embedding', 'head', 'mlp', 'norm', 'router'];

const steps = (events: readonly { readonly type: string }[]) =>
  events.filter((event): event is TrainStep => event.type === 'step');

describe('train', () => {
  it('yields steps, evaluations, checkpoints and the end, and lowers the loss', async () => {
    const options = microRun({ steps: 60, saveEvery: 30, learningRate: 1e-2 });
    const evaluation = { data: writeTokens(`${options.output}-eval.bin`, 500, 2), every: 20, canvases: 16 };
    const events = await eventsOf({ ...options, evaluation });
    const others = events.filter(({ type }) => type !== 'step');
    expect(others.map(({ type, step }) => [type, step])).toEqual([
      ['evaluation', 0],
      ['evaluation', 20],
      ['checkpoint', 30],
      ['evaluation', 40],
      ['evaluation', 60],
      ['checkpoint', 60],
      ['done', 60],
    ]);
    const losses = events.flatMap((event) => (event.type === 'evaluation' ? [event.loss] : []));
    expect(losses.at(-1)).toBeLessThan(0.8 * (losses[0] as number));
    expect(events.at(-1)).toMatchObject({
      complete: true,
      checkpoint: join(options.output, 'checkpoint-60'),
    });
  });

  it('reports what a step was', async () => {
    const events = await eventsOf(microRun({ steps: 3, weighting: 'mean' }));
    for (const step of steps(events)) {
      expect(step.loss).toBeCloseTo(step.maskedCrossEntropy as number, 2);
      expect(step.elbo).toBeGreaterThan(0);
      expect(step.lossByTime).toHaveLength(10);
      expect(step.expertLoad.map(({ layer }) => layer)).toEqual([0, 1]);
      for (const { min, max } of step.expertLoad) {
        expect(min).toBeLessThanOrEqual(1);
        expect(max).toBeGreaterThanOrEqual(1);
      }
      expect(Object.keys(step.learningRates).sort()).toEqual(groups);
      const { data, forward, backward, optimizer, total } = step.milliseconds;
      expect(forward + backward + optimizer).toBeLessThanOrEqual(total + data);
    }
  });

  it('writes checkpoints that load and generate', async () => {
    const options = microRun({ steps: 2 });
    await eventsOf(options);
    const model = await DiffusionLM.load({ model: join(options.output, 'checkpoint-2') });
    const { tokens } = await model.generateTokens({ prefix: [5, 6, 7], maxNewTokens: 8, steps: 4 });
    expect(tokens).toHaveLength(11);
    await model.dispose();
  });

  it('learns the same whatever the threads, the recomputation and the log', async () => {
    const plain = microRun({ steps: 5 });
    const expected = numbersOf(await eventsOf(plain));
    for (const other of [{ threads: 2 }, { recompute: 'layer' as const }, { logEvery: 3, saveEvery: 2 }]) {
      const options = { ...plain, output: `${plain.output}-${Object.keys(other)[0]}`, ...other };
      expect(numbersOf(await eventsOf(options))).toEqual(expected);
      expect(checkpointOf(options.output)).toEqual(checkpointOf(plain.output));
    }
  });

  it('learns other things with another seed', async () => {
    const first = numbersOf(await eventsOf(microRun({ steps: 2 })));
    const second = numbersOf(await eventsOf(microRun({ steps: 2, seed: 1 })));
    expect(second).not.toEqual(first);
  });

  it('trains by autoregression: causal, all tokens but the first', async () => {
    const events = await eventsOf(microRun({ steps: 40, objective: 'ar', learningRate: 1e-2 }));
    const found = steps(events);
    expect(found[0]).toMatchObject({ elbo: null, lossByTime: [] });
    expect(found[0]?.maskedCrossEntropy).toBeCloseTo(found[0]?.loss as number, 2);
    expect(found[39]?.loss).toBeLessThan(0.8 * (found[0]?.loss as number));
  });

  it('takes the rates of the recipe, which given ones override', async () => {
    const rates = async (given: object) =>
      steps(await eventsOf(microRun({ steps: 100, recipe: 'scp', ...given })))[0]?.learningRates;
    // A warm-up of 2 % is two steps.
    const [attention, rest, mlp] = [0.005, 0.0005, 0.001];
    expect(await rates({ steps: 100, learningRate: { base: 1e-2, mlp: 2e-3 }, batch: 1 })).toEqual({
      attention,
      embedding: rest,
      head: rest,
      mlp,
      norm: rest,
      router: rest,
    });
  });

  it('measures the noise scale', async () => {
    const events = await eventsOf(microRun({ steps: 6, noiseScale: true, microBatch: 2 }));
    const { noiseScale } = steps(events)[5] as TrainStep;
    expect(Object.keys(noiseScale?.groups ?? {}).sort()).toEqual(groups);
    const { canvases, tokens, scored } = noiseScale as { canvases: number; tokens: number; scored: number };
    if (canvases !== null) {
      expect(tokens).toBeCloseTo(canvases * 16, 0);
      expect(scored).toBeLessThan(tokens);
    }
  });

  it('keeps the newest checkpoints only, if told so', async () => {
    const options = microRun({ steps: 6, saveEvery: 1, saveLimit: 2 });
    await eventsOf(options);
    expect(readdirSync(options.output).sort()).toEqual([
      'checkpoint-5',
      'checkpoint-6',
      'latest',
      'metrics.jsonl',
      'run.json',
    ]);
  });

  it('ends after three steps whose gradients are not finite', async () => {
    const options = microRun({ learningRate: 1e30, optimizer: { clip: 0 }, saveEvery: 1, steps: 50 });
    await expect(eventsOf(options)).rejects.toMatchObject({
      code: 'not_finite',
      message: expect.stringContaining('3 steps in a row'),
    });
  });
});

describe('bad input', () => {
  const refused = async (given: object) => {
    const options = { ...microRun(), ...given };
    const error: Error = await eventsOf(options).then(
      () => new Error('accepted'),
      (reason) => reason as Error,
    );
    expect(existsSync(options.output)).toBe(false);
    return error.message;
  };

  it.each([
    [{ steps: 0 }, /steps must be/],
    [{ learningRates: 1 }, /no 'learningRates'; did you mean 'learningRate'/],
    [{ learningRate: { base: 1e-3, atention: 1 } }, /did you mean 'attention'/],
    [{ sequenceLength: 129 }, /sequenceLength 129 is more than the 128 positions of/],
    [{ objective: 'bert' }, /objective must be one of 'mdlm', 'ar'/],
    [{ minTime: 0 }, /minTime must be more than 0/],
    [{ complementaryMasks: true, objective: 'ar' }, /complementaryMasks is for the objective 'mdlm'/],
    [{ noiseScale: true, microBatch: 8 }, /noiseScale needs two or more micro-batches/],
    [{ schedule: { kind: 'step' } }, /schedule\.kind/],
    [{ optimizer: { learningRate: 1 } }, /optimizer has no 'learningRate'/],
    [{ data: [] }, /data must be a file/],
    [{ data: [{ file: 'x', weight: 0 }] }, /data\[0\]\.weight must be more than 0/],
    [{ data: '/nowhere/train.bin' }, /\/nowhere\/train\.bin/],
    [{ evaluation: { data: '/nowhere/val.bin' } }, /\/nowhere\/val\.bin/],
    [{ seed: -1 }, /seed must be/],
  ])('refuses %j, and writes nothing', async (given, message) => {
    expect(await refused(given)).toMatch(message);
  });

  it('refuses tokens beyond the vocabulary, and names file and position', async () => {
    const folder = scratchFolder();
    const data = join(folder, 'big.bin');
    writeTokens(data, 400);
    const bytes = readFileSync(data);
    bytes.writeUInt16LE(61, 1024 + 2 * 37);
    writeFileSync(data, bytes);
    await expect(eventsOf({ ...microRun(), data, steps: 8 })).rejects.toThrow(/big\.bin.*61/);
  });

  it('refuses a folder that is not empty, and a model without mask token', async () => {
    const options = microRun();
    mkdirSync(options.output);
    writeFileSync(join(options.output, 'notes.txt'), 'mine');
    await expect(eventsOf(options)).rejects.toThrow(/is not empty: name a new folder/);
    expect(readdirSync(options.output)).toEqual(['notes.txt']);
  });

  it('refuses two processes in one folder', async () => {
    const options = microRun();
    const running = train(options);
    await running.next();
    await expect(eventsOf({ resume: options.output })).rejects.toThrow(/is being written by process/);
    await running.return();
  });

  it('refuses a quantized model by name', async () => {
    const model = goldenFolder('micro', 'config.json');
    await expect(eventsOf({ ...microRun(), model: join(model, 'nowhere') })).rejects.toMatchObject({
      code: 'io',
    });
  });
});
