import type { TrainingBatch } from '../../lib/training';
import { sameBits } from '../support/tolerance';
import { closeTrainers, gradientsOf, openTrainer, randomBatch } from './support';

const golden = { checkpoint: 'micro', config: 'config.json' };

/** Some canvases of a batch. */
function part(batch: TrainingBatch, first: number, end: number): TrainingBatch {
  const from = batch.offsets[first] as number;
  const to = batch.offsets[end] as number;
  const chosen = [...batch.rows.keys()].filter((i) => {
    const row = batch.rows[i] as number;
    return row >= from && row < to;
  });
  return {
    ...batch,
    tokens: batch.tokens.slice(from, to),
    offsets: batch.offsets.slice(first, end + 1).map((offset) => offset - from),
    rows: Int32Array.from(chosen, (i) => (batch.rows[i] as number) - from),
    targets: Int32Array.from(chosen, (i) => batch.targets[i] as number),
    weights: Float32Array.from(chosen, (i) => batch.weights[i] as number),
  };
}

describe('the order of sums', () => {
  afterEach(closeTrainers);

  it('does not depend on the number of threads', async () => {
    const batch = { ...randomBatch([64, 1, 100, 37], 61, 1), auxCoef: 0.01, zCoef: 0.001 };
    const results = [];
    for (const threads of [1, 2, 5]) {
      const trainer = await openTrainer(golden, { threads });
      const steps = [];
      for (let i = 0; i < 2; i++) {
        const { milliseconds: _, ...numbers } = await trainer.step(batch, { batchNorms: i === 1 });
        steps.push(numbers);
      }
      const parameters = [];
      for (const { name } of trainer.tensors) parameters.push(await trainer.parameter(name));
      results.push({ steps, parameters });
    }
    const [one, ...others] = results;
    for (const other of others) expect(other).toEqual(one);
  });

  it('is the same in micro-batches of 256 rows', async () => {
    // An untied head: the gradients of a tied one interleave with those of the embedding.
    const untied = { checkpoint: 'tiny-moe', config: 'config.json' };
    const batch = randomBatch([64, 64, 100, 28, 200, 56, 77], 512, 2);
    const trainer = await openTrainer(untied);
    const whole = await trainer.lossAndGradients(batch);
    const gradients = await gradientsOf(trainer);
    const split = await trainer.lossAndGradients([part(batch, 0, 4), part(batch, 4, 6), part(batch, 6, 7)]);
    expect({ total: split.total, main: split.main }).toEqual({ total: whole.total, main: whole.main });
    for (const [name, gradient] of await gradientsOf(trainer))
      expect([name, sameBits(gradient, gradients.get(name) as Float32Array)]).toEqual([name, true]);
  });

  it.each(['attention', 'layer'] as const)('is the same when %s is computed again', async (recompute) => {
    const batch = { ...randomBatch([64, 1, 100, 37], 61, 3), auxCoef: 0.01, mask: 'causal' as const };
    const kept = await openTrainer(golden);
    const again = await openTrainer(golden, { recompute });
    expect(await again.lossAndGradients(batch)).toEqual(await kept.lossAndGradients(batch));
    expect(await gradientsOf(again)).toEqual(await gradientsOf(kept));
  });
});
