import { join } from 'node:path';
import { Trainer, train } from '../../lib/training';
import { roundedToBf16 } from '../../lib/training/floats';
import { checkpointOf, eventsOf, microRun, numbersOf } from './runs';
import { closeTrainers, openTrainer, randomBatch, scratchFolder } from './support';

const golden = { checkpoint: 'micro', config: 'config.json' };
const batch = randomBatch([20, 30], 61, 5);

/** Rounded to bf16, as floats. */
const rounded = (values: Float32Array) =>
  new Float32Array(Uint32Array.from(roundedToBf16(values), (half) => half * 0x10000).buffer);

afterEach(closeTrainers);

describe('products in bf16', () => {
  it('give the losses of rounded matrices, while updates add up in f32', async () => {
    const trainer = await openTrainer(golden, { dtype: 'bf16' });
    const plain = await openTrainer(golden);
    const first = await trainer.lossAndGradients(batch);
    expect(first.total).not.toBe((await plain.lossAndGradients(batch)).total);
    for (const { name, shape, group } of plain.tensors)
      if (shape.length === 2 && group !== 'router')
        await plain.setParameter(name, rounded(await plain.parameter(name)));
    expect(first).toEqual(await plain.lossAndGradients(batch));
    for (const { name } of plain.tensors)
      expect(await trainer.gradient(name)).toEqual(await plain.gradient(name));

    // Steps that bf16 alone would round away.
    const name = 'model.layers.0.self_attn.q_proj.weight';
    const before = await trainer.parameter(name);
    for (let i = 0; i < 8; i++) await trainer.step(batch, { rate: 1e-3 });
    const after = await trainer.parameter(name);
    const moved = after.filter((value, i) => value !== before[i]).length;
    expect(moved).toBeGreaterThan(0.9 * after.length);
    const visible = rounded(after).filter((value, i) => value !== rounded(before)[i]).length;
    expect(visible).toBeLessThan(0.1 * after.length);
    expect(trainer.info.bytes).toBeGreaterThan(plain.info.bytes);
  });

  it('go on with the saved f32 weights, even from weights in bf16', async () => {
    const folder = join(scratchFolder(), 'saved');
    const trainer = await openTrainer(golden, { dtype: 'bf16' });
    await trainer.step(batch);
    await trainer.save(folder, { dtype: 'bf16' });
    const expected = await trainer.lossAndGradients(batch);
    const resumed = await Trainer.open(folder, {
      optimizer: { learningRate: 1e-3 },
      dtype: 'bf16',
      resume: true,
    });
    try {
      expect(await resumed.lossAndGradients(batch)).toEqual(expected);
    } finally {
      await resumed.dispose();
    }
  });

  it('are those of a whole run, which a resumed one goes on with', async () => {
    const whole = microRun({ steps: 6, saveEvery: 3, dtype: 'bf16', saveDtype: 'bf16' });
    const expected = numbersOf(await eventsOf(whole));
    const plain = microRun({ steps: 6, saveEvery: 3 });
    expect(numbersOf(await eventsOf(plain))).not.toEqual(expected);
    const parts = { ...whole, output: `${whole.output}-parts` };
    for await (const event of train(parts)) if (event.step === 5) break;
    await eventsOf({ resume: parts.output, threads: 2 });
    expect(checkpointOf(parts.output)).toEqual(checkpointOf(whole.output));
  });
});
