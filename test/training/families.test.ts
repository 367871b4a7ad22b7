import type { TrainingBatch } from '../../lib/training';
import { closeTrainers, norm, openTrainer, randomBatch } from './support';

/** Biases, dense MLPs, shared weights, heads that are rotated in part, other masks: no golden gradients, so slopes. */
const families = [
  'tiny-a2d-qwen3',
  'tiny-dream',
  'tiny-llada',
  'tiny-llada-moe',
  'tiny-qwen3',
  'tiny-qwen3-moe',
];

describe('gradients of the families', () => {
  afterEach(closeTrainers);

  it.each(families)('%s: the loss changes as the gradients say', async (family) => {
    const trainer = await openTrainer({ checkpoint: `families/${family}`, config: 'config.json' });
    const embedding = trainer.tensors.find(({ group }) => group === 'embedding');
    const vocabulary = embedding?.shape[0] as number;
    const batch: TrainingBatch = { ...randomBatch([9, 17, 4], vocabulary, 8), zCoef: 0.01 };
    await trainer.lossAndGradients(batch);
    const gradients = new Map<string, Float32Array>();
    for (const { name } of trainer.tensors) gradients.set(name, await trainer.gradient(name));
    const lossAlong = async (name: string, distance: number) => {
      const values = await trainer.parameter(name);
      const gradient = gradients.get(name) as Float32Array;
      const length = norm(gradient);
      const moved = values.map((value, i) => value + (distance * (gradient[i] as number)) / length);
      await trainer.setParameter(name, moved);
      const { total } = await trainer.lossAndGradients(batch);
      await trainer.setParameter(name, values);
      return total;
    };
    const largest = Math.max(...[...gradients.values()].map(norm));
    const wrong: [string, number][] = [];
    let checked = 0;
    for (const [name, gradient] of gradients) {
      const slope = norm(gradient);
      // Smaller ones vanish in the rounding of the loss.
      if (slope < 3e-3 * largest) continue;
      const distance = Math.min(1e-3 / slope, 0.003 * norm(await trainer.parameter(name)));
      const measured =
        ((await lossAlong(name, distance)) - (await lossAlong(name, -distance))) / (2 * distance);
      if (!(Math.abs(measured / slope - 1) < 0.01)) wrong.push([name, measured / slope]);
      checked++;
    }
    expect(checked).toBeGreaterThan(gradients.size / 2);
    // Where a row is about to choose another expert, the loss jumps.
    expect(wrong.slice(checked / 20)).toEqual([]);
  });
});
