import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DiffusionLM } from '../../lib';
import { Trainer } from '../../lib/training';
import { closeTrainers, goldenFolder, openTrainer, randomBatch, scratchFolder } from './support';

const golden = { checkpoint: 'micro', config: 'config.json' };
const batch = randomBatch([20, 30], 61, 5);

/** All parameters by name. */
async function parametersOf(trainer: Trainer): Promise<Map<string, Float32Array>> {
  const values = new Map<string, Float32Array>();
  for (const { name } of trainer.tensors) values.set(name, await trainer.parameter(name));
  return values;
}

describe('Trainer', () => {
  afterEach(closeTrainers);

  it('lowers the loss, and raises the rate during warm-up', async () => {
    const trainer = await openTrainer(golden, { optimizer: { learningRate: 1e-2, warmup: 4 } });
    const results = [];
    for (let i = 0; i < 20; i++) results.push(await trainer.step(batch));
    expect(results.slice(0, 5).map(({ rate }) => rate)).toEqual([0.25, 0.5, 0.75, 1, 1]);
    expect(results[19]?.losses.total).toBeLessThan(0.7 * (results[0]?.losses.total ?? 0));
    expect(trainer.steps).toBe(20);
    expect(await trainer.step(batch, { rate: 0 })).toMatchObject({ applied: true, rate: 0 });
  });

  it('freezes groups with rate 0', async () => {
    const trainer = await openTrainer(golden, {
      optimizer: { learningRate: { base: 0, attention: 1e-2 } },
    });
    const before = await parametersOf(trainer);
    await trainer.step(batch);
    const after = await parametersOf(trainer);
    for (const { name, group, learningRate } of trainer.tensors) {
      expect([name, learningRate > 0]).toEqual([name, group === 'attention']);
      if (group === 'attention') {
        expect(after.get(name)).not.toEqual(before.get(name));
      } else {
        expect(after.get(name)).toEqual(before.get(name));
        await expect(trainer.gradient(name)).rejects.toThrow(/is frozen/);
      }
    }
  });

  it('skips a step whose gradients are not finite, and counts only applied ones', async () => {
    const trainer = await openTrainer(golden);
    await trainer.setParameter('model.norm.weight', new Float32Array(24).fill(3e38));
    const before = await parametersOf(trainer);
    expect(await trainer.step(batch)).toMatchObject({ applied: false });
    expect(await parametersOf(trainer)).toEqual(before);
    expect(trainer.steps).toBe(0);
  });

  it('gives loss 0 for a batch without scored rows', async () => {
    const trainer = await openTrainer(golden);
    const none = { ...batch, rows: new Int32Array(), targets: new Int32Array(), weights: new Float32Array() };
    expect(await trainer.lossAndGradients(none)).toMatchObject({ total: 0, main: 0 });
    expect(await trainer.step(none)).toMatchObject({ applied: true, gradientNorm: 0 });
  });

  it('continues from what it saved, bit for bit, and rnd1 loads it', async () => {
    const folder = join(scratchFolder(), 'saved');
    const options = { optimizer: { learningRate: 1e-2, warmup: 5 } };
    const trainer = await openTrainer(golden, options);
    for (let i = 0; i < 3; i++) await trainer.step(batch);
    await trainer.save(folder);
    const twice = async (each: Trainer) =>
      [await each.step(batch), await each.step(batch)].map(({ milliseconds: _, ...numbers }) => numbers);
    const rest = await twice(trainer);
    const resumed = await Trainer.open(folder, { ...options, resume: true });
    try {
      expect(resumed.steps).toBe(3);
      expect(await twice(resumed)).toEqual(rest);
      expect(await parametersOf(resumed)).toEqual(await parametersOf(trainer));
    } finally {
      await resumed.dispose();
    }
    await using model = await DiffusionLM.load(folder, { device: 'cpu' });
    expect(model.info.dtype).toBe('f32');
    expect(readdirSync(folder).sort()).toEqual([
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'optimizer.safetensors',
      'trainer_state.json',
    ]);
  });

  it('continues from bf16 weights with the saved f32 ones', async () => {
    const folder = join(scratchFolder(), 'saved');
    const trainer = await openTrainer(golden);
    await trainer.step(batch);
    await trainer.save(folder, { dtype: 'bf16' });
    const resumed = await Trainer.open(folder, { optimizer: { learningRate: 1e-3 }, resume: true });
    try {
      expect(await parametersOf(resumed)).toEqual(await parametersOf(trainer));
    } finally {
      await resumed.dispose();
    }
    expect(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'))).toMatchObject({
      dtype: 'bfloat16',
    });
    await trainer.save(join(folder, 'weights-only'), { optimizer: false });
    expect(readdirSync(join(folder, 'weights-only'))).not.toContain('trainer_state.json');
  });

  it('saves into new folders only, and leaves nothing behind when it fails', async () => {
    const parent = scratchFolder();
    const trainer = await openTrainer(golden);
    mkdirSync(join(parent, 'full'));
    writeFileSync(join(parent, 'full', 'file'), '');
    await expect(trainer.save(join(parent, 'full'))).rejects.toMatchObject({ code: 'io' });
    const aborted = AbortSignal.abort(new Error('enough'));
    await expect(trainer.save(join(parent, 'new'), { signal: aborted })).rejects.toThrow('enough');
    await expect(openTrainer(golden, { resume: true, optimizer: { learningRate: 1 } })).rejects.toMatchObject(
      {
        code: 'invalid_checkpoint',
        message: expect.stringContaining('trainer_state.json is missing'),
      },
    );
    expect(readdirSync(parent)).toEqual(['full']);
  });

  it('aborts between layers and goes on as if nothing had happened', async () => {
    const trainer = await openTrainer(golden);
    const other = await openTrainer(golden);
    const long = randomBatch(new Array(60).fill(60), 61, 6);
    const controller = new AbortController();
    const aborted = trainer.step(long, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    const steps = trainer.steps;
    for (let i = 0; i < steps; i++) await other.step(long);
    expect((await trainer.step(batch)).losses).toEqual((await other.step(batch)).losses);
    expect(await parametersOf(trainer)).toEqual(await parametersOf(other));
  });

  it('fails after it was disposed', async () => {
    const trainer = await openTrainer(golden);
    await trainer.dispose();
    await expect(trainer.step(batch)).rejects.toMatchObject({ code: 'disposed' });
    await expect(trainer.parameter('model.norm.weight')).rejects.toMatchObject({ code: 'disposed' });
    await trainer.dispose();
  });

  it('refuses what it cannot train', async () => {
    const optimizer = { learningRate: 1e-3 };
    await expect(
      Trainer.open(goldenFolder('families/tiny-llada2', 'config.json'), { optimizer }),
    ).rejects.toMatchObject({
      code: 'unsupported_model',
      message: expect.stringContaining('a sigmoid router'),
    });
  });

  it.each<[string, object]>([
    ['tokens contains 61, and the vocabulary has 61 tokens', { tokens: batch.tokens.map(() => 61) }],
    ['targets contains -1', { targets: batch.targets.map(() => -1) }],
    ['rows must ascend strictly', { rows: batch.rows.map(() => 3) }],
    [
      'rows contains 50, and there are 50 tokens',
      { rows: batch.rows.map((_, i) => i + 51 - batch.rows.length) },
    ],
    ['offsets must begin with 0', { offsets: Int32Array.of(0, 20) }],
    ['offsets must ascend strictly', { offsets: Int32Array.of(0, 30, 20, 50) }],
    ['the same length', { weights: new Float32Array(2) }],
    ['weights must be finite', { weights: batch.weights.map(() => Number.NaN) }],
    ['batch.auxCoef must be', { auxCoef: -1 }],
    ["batch.mask must be one of 'full', 'causal'", { mask: 'none' }],
    ['batch.tokens must be an Int32Array', { tokens: [1, 2] }],
    ['batch.weights must be a Float32Array', { weights: [1, 2] }],
    ["did you mean 'targets'", { target: 1 }],
  ])('refuses a batch: %s', async (message, change) => {
    const trainer = await openTrainer(golden);
    await expect(trainer.lossAndGradients({ ...batch, ...change } as never)).rejects.toThrow(message);
  });

  it.each<[string, object]>([
    ['optimizer is missing', { optimizer: undefined }],
    ['optimizer.learningRate must be a number or an object', { optimizer: {} }],
    ['optimizer.learningRate.base must be a number', { optimizer: { learningRate: { mlp: 1 } } }],
    ['optimizer.learningRate must be', { optimizer: { learningRate: -1 } }],
    ['optimizer.betas must be two numbers', { optimizer: { learningRate: 1, betas: [0.9] } }],
    ['optimizer.betas[1] must be less than 1', { optimizer: { learningRate: 1, betas: [0.9, 1] } }],
    ["did you mean 'weightDecay'", { optimizer: { learningRate: 1, weightdecay: 1 } }],
    ["recompute must be one of 'none', 'attention', 'layer'", { recompute: 'all' }],
    ["dtype must be one of 'f32', 'bf16'", { dtype: 'f16' }],
  ])('refuses options: %s', async (message, options) => {
    await expect(openTrainer(golden, options as never)).rejects.toThrow(message);
  });

  it('names unknown parameters and wrong sizes', async () => {
    const trainer = await openTrainer(golden);
    await expect(trainer.parameter('model.nothing')).rejects.toThrow("no parameter 'model.nothing'");
    await expect(trainer.setParameter('model.norm.weight', new Float32Array(3))).rejects.toThrow(
      "'model.norm.weight' needs a Float32Array of 24 values",
    );
  });
});
