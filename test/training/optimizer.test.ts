import type { TrainingBatch } from '../../lib/training';
import { GoldenArrays, readGolden } from '../support/goldens';
import {
  batchOf,
  closeTrainers,
  type GoldenBatch,
  type GoldenModel,
  norm,
  openTrainer,
  projection,
} from './support';

interface Step {
  readonly loss: number;
  readonly main: number;
  readonly grad_norm: number;
  readonly clip_scale: number;
  readonly lr_multiplier: number;
}

interface OptimizerGolden extends GoldenModel {
  readonly optimizer: {
    readonly betas: readonly [number, number];
    readonly eps: number;
    readonly max_grad_norm: number;
    readonly weight_decay: number;
    readonly learning_rates: Readonly<Record<'attention' | 'mlp', number>>;
  };
  readonly groups: Readonly<Record<string, string>>;
  readonly decays: Readonly<Record<string, boolean>>;
  readonly batches: readonly GoldenBatch[];
  readonly records: { readonly f64: readonly Step[] };
  readonly after5: Readonly<Record<string, Bounds & { readonly projections: readonly number[] }>>;
}

interface Bounds {
  readonly f32_vs_f64_max: number;
  readonly moved_max: number;
}

/** An entry's gradient nearly vanishes below this share of the root mean square of its tensor's. */
const vanishing = 2e-3;

/**
 * AdamW's first steps divide by the size of the gradient itself, and so magnify the rounding error of one that nearly
 * vanishes: only such an entry may differ by more than the golden data's tolerance, and by a hundredth of the farthest move.
 */
function expectClose(
  what: string,
  differences: Float32Array,
  bounds: Bounds,
  gradients: readonly Float32Array[],
): void {
  const limit = Math.max(10 * bounds.f32_vs_f64_max, 1e-3 * bounds.moved_max);
  const sizes = gradients.map((gradient) => norm(gradient) / Math.sqrt(gradient.length));
  for (const [i, difference] of differences.entries()) {
    if (difference <= limit) continue;
    const shares = gradients.map(
      (gradient, step) => Math.abs(gradient[i] as number) / (sizes[step] as number),
    );
    expect({ what, i, vanishes: Math.min(...shares) < vanishing }).toEqual({ what, i, vanishes: true });
    expect(difference).toBeLessThanOrEqual(1e-2 * bounds.moved_max);
  }
}

const names = ['micro-mdlm', 'micro-nonorm-ar', 'tiny-moe-mdlm'];

describe('steps of the golden data', () => {
  afterEach(closeTrainers);

  it.each(names)('%s', async (name) => {
    const golden = readGolden<OptimizerGolden>(`training/adamw/${name}.json`);
    const arrays = new GoldenArrays(`training/adamw/${name}.json`, golden);
    const { optimizer } = golden;
    const trainer = await openTrainer(golden, {
      optimizer: {
        learningRate: { base: optimizer.learning_rates.mlp, ...optimizer.learning_rates },
        betas: optimizer.betas,
        epsilon: optimizer.eps,
        weightDecay: optimizer.weight_decay,
        clip: optimizer.max_grad_norm,
      },
    });
    for (const tensor of trainer.tensors) {
      expect([tensor.name, tensor.group]).toEqual([tensor.name, golden.groups[tensor.name]]);
      expect([tensor.name, tensor.weightDecay > 0]).toEqual([tensor.name, golden.decays[tensor.name]]);
    }
    const gradients = new Map<string, Float32Array[]>(trainer.tensors.map((tensor) => [tensor.name, []]));
    for (const [i, batch] of golden.batches.entries()) {
      const expected = golden.records.f64[i] as Step;
      const result = await trainer.step(batchOf(batch), { rate: expected.lr_multiplier });
      expect(result).toMatchObject({ applied: true, rate: expected.lr_multiplier });
      expect(Math.abs(result.losses.total / expected.loss - 1)).toBeLessThanOrEqual(1e-5);
      expect(Math.abs(result.losses.main / expected.main - 1)).toBeLessThanOrEqual(1e-5);
      expect(Math.abs(result.gradientNorm / expected.grad_norm - 1)).toBeLessThanOrEqual(1e-4);
      expect(Math.abs(result.clipScale / expected.clip_scale - 1)).toBeLessThanOrEqual(1e-4);
      for (const { name: tensor } of trainer.tensors) {
        const ofTensor = gradients.get(tensor) as Float32Array[];
        ofTensor.push(await trainer.gradient(tensor));
        const stored = `f64.step${i + 1}.${tensor}`;
        if (!arrays.has(stored)) continue;
        const values = arrays.floats(stored);
        const actual = await trainer.parameter(tensor);
        const differences = actual.map((value, j) => Math.abs(value - (values[j] as number)));
        expectClose(`${tensor} after step ${i + 1}`, differences, golden.after5[tensor] as Bounds, ofTensor);
      }
    }
    expect(trainer.steps).toBe(golden.batches.length);
    for (const [tensor, expected] of Object.entries(golden.after5)) {
      const actual = await trainer.parameter(tensor);
      const size = norm(actual);
      for (const [i, value] of expected.projections.entries())
        expect(Math.abs(projection(actual, i + 1) - value)).toBeLessThanOrEqual(
          1e-5 * size + expected.moved_max,
        );
    }
  });

  test('a gradient within the limit is not scaled, and clips of 0 are none', async () => {
    const golden = readGolden<OptimizerGolden>('training/adamw/micro-mdlm.json');
    const [batch] = golden.batches.map(batchOf);
    const after = [];
    for (const clip of [1e6, 0]) {
      const trainer = await openTrainer(golden, { optimizer: { learningRate: 1e-3, clip } });
      const { clipScale, gradientNorm } = await trainer.step([batch as TrainingBatch]);
      expect(gradientNorm).toBeLessThan(1e6);
      expect(clipScale).toBe(1);
      after.push(await trainer.parameter('model.embed_tokens.weight'));
    }
    expect(after[0]).toEqual(after[1]);
  });
});
