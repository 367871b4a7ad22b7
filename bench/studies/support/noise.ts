import type { Trainer, TrainingBatch } from '../../../lib/training';
import { type GroupNorms, nextNoise } from '../../../lib/training/noise-scale';

/** Signal |G|² and noise tr Σ of a gradient, by group of parameters, of `all`, and of all after Adam's division by √v. */
export type Noise = Readonly<Record<string, { readonly signal: number; readonly noise: number }>>;

/** Second moments, by the names of tensors: what Adam divides by, squared. */
export type SecondMoments = ReadonlyMap<string, Float32Array>;

const epsilon = 1e-8;

/** The second moments of a trainer that was resumed, without the bias of their start at 0. */
export async function secondMoments(trainer: Trainer, beta2: number): Promise<SecondMoments> {
  const correction = 1 - beta2 ** trainer.steps;
  const moments = new Map<string, Float32Array>();
  for (const { name } of trainer.tensors)
    moments.set(
      name,
      (await trainer.moments(name)).second.map((value) => value / correction),
    );
  return moments;
}

/** The noise of a gradient that is the sum of those of equally large batches, of `canvases` each. */
export async function measureNoise(
  trainer: Trainer,
  batches: readonly TrainingBatch[],
  canvases: number,
  moments: SecondMoments,
): Promise<Noise> {
  const sums = new Map<string, Float32Array>();
  const parts: Record<string, number[]> = {};
  for (const batch of batches) {
    await trainer.lossAndGradients(batch);
    const norms: Record<string, number> = {};
    for (const { name, group } of trainer.tensors) {
      const gradient = await trainer.gradient(name);
      add(norms, group, norm(gradient), norm(gradient, moments.get(name)));
      const sum = sums.get(name);
      if (sum === undefined) sums.set(name, gradient);
      else for (let i = 0; i < sum.length; i++) (sum[i] as number) += gradient[i] as number;
    }
    for (const [group, value] of Object.entries(norms)) {
      parts[group] ??= [];
      parts[group].push(value);
    }
  }
  const whole: Record<string, number> = {};
  for (const { name, group } of trainer.tensors) {
    const sum = sums.get(name) as Float32Array;
    add(whole, group, norm(sum), norm(sum, moments.get(name)));
  }
  const norms = Object.fromEntries(
    Object.entries(parts).map(([group, each]): [string, GroupNorms] => [
      group,
      { parts: each, whole: whole[group] as number },
    ]),
  );
  return nextNoise({}, norms, canvases);
}

function add(norms: Record<string, number>, group: string, plain: number, preconditioned: number): void {
  for (const [name, value] of [
    [group, plain],
    ['all', plain],
    ['preconditioned', preconditioned],
  ] as const)
    norms[name] = (norms[name] ?? 0) + value;
}

/** Σ g², or Σ g² / (√v + ε)². */
function norm(gradient: Float32Array, moments?: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < gradient.length; i++) {
    const value =
      (gradient[i] as number) / (moments === undefined ? 1 : Math.sqrt(moments[i] as number) + epsilon);
    sum += value * value;
  }
  return sum;
}
