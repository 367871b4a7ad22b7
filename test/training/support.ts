import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Trainer, type TrainerOptions, type TrainingBatch } from '../../lib/training';
import { fixturesFolder, type WithArrays } from '../support/goldens';

/** A batch of the golden data. */
export interface GoldenBatch {
  readonly tokens: readonly number[];
  readonly offsets: readonly number[];
  readonly mask: 'full' | 'causal';
  readonly rows: readonly number[];
  readonly targets: readonly number[];
  readonly weights: readonly number[];
  readonly aux_coef: number;
  readonly aux_scope: 'pooled' | 'layer';
  readonly z_coef: number;
}

/** A model of the golden data. */
export interface GoldenModel extends WithArrays {
  readonly name: string;
  readonly checkpoint: string;
  readonly config: string;
}

const folders = new Map<string, string>();
const trainers: Trainer[] = [];

/** A folder of the checkpoint with one of its configurations. */
export function goldenFolder(checkpoint: string, config: string): string {
  const own = checkpoint === 'micro' ? join('training', checkpoint) : checkpoint;
  const source = join(fixturesFolder, own);
  if (config === 'config.json') return source;
  const key = `${checkpoint}/${config}`;
  const known = folders.get(key);
  if (known !== undefined) return known;
  const folder = mkdtempSync(join(tmpdir(), 'rnd1-trainer-'));
  cpSync(source, folder, { recursive: true });
  cpSync(join(source, config), join(folder, 'config.json'));
  folders.set(key, folder);
  return folder;
}

/** An empty folder that `closeTrainers` removes. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rnd1-trainer-'));
  folders.set(folder, folder);
  return folder;
}

export async function openTrainer(
  { checkpoint, config }: Pick<GoldenModel, 'checkpoint' | 'config'>,
  options: Partial<TrainerOptions> = {},
): Promise<Trainer> {
  const optimizer = { learningRate: 1e-3 };
  const trainer = await Trainer.open(goldenFolder(checkpoint, config), { optimizer, threads: 2, ...options });
  trainers.push(trainer);
  return trainer;
}

export async function closeTrainers(): Promise<void> {
  for (const trainer of trainers.splice(0)) await trainer.dispose();
  for (const [key, folder] of folders) {
    rmSync(folder, { recursive: true, force: true });
    folders.delete(key);
  }
}

export function batchOf(golden: GoldenBatch): TrainingBatch {
  return {
    tokens: Int32Array.from(golden.tokens),
    offsets: Int32Array.from(golden.offsets),
    mask: golden.mask,
    rows: Int32Array.from(golden.rows),
    targets: Int32Array.from(golden.targets),
    weights: Float32Array.from(golden.weights),
    auxCoef: golden.aux_coef,
    auxScope: golden.aux_scope,
    zCoef: golden.z_coef,
  };
}

/** A batch of random canvases, whose last rows are scored. */
export function randomBatch(lengths: readonly number[], vocabulary: number, seed: number): TrainingBatch {
  let state = seed;
  const below = (bound: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  const offsets = [0];
  for (const length of lengths) offsets.push((offsets.at(-1) as number) + length);
  const count = offsets.at(-1) as number;
  const rows = Array.from({ length: count }, (_, i) => i).filter(() => below(2) === 0);
  return {
    tokens: Int32Array.from({ length: count }, () => below(vocabulary)),
    offsets: Int32Array.from(offsets),
    rows: Int32Array.from(rows),
    targets: Int32Array.from(rows, () => below(vocabulary)),
    weights: Float32Array.from(rows, () => 1 / 64),
  };
}

/** All gradients by name. */
export async function gradientsOf(trainer: Trainer): Promise<Map<string, Float32Array>> {
  const gradients = new Map<string, Float32Array>();
  for (const { name, learningRate } of trainer.tensors)
    if (learningRate > 0) gradients.set(name, await trainer.gradient(name));
  return gradients;
}

// Looking up a global takes long in jest's sandbox.
const { imul } = Math;

/** The golden data's hash, as a signed integer. */
function mixhash(index: number, salt: number): number {
  let h = (imul(index, 2_654_435_761 | 0) + imul(salt, 40_503)) | 0;
  h = imul(h ^ (h >>> 15), 2_246_822_519 | 0);
  return h ^ (h >>> 13);
}

/** Σ values[i] · sign(i, salt), as the golden data's `projections`. */
export function projection(values: Float32Array, salt: number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    sum += (mixhash(i, salt) & 1) === 1 ? -value : value;
  }
  return sum;
}

/** The flat positions that the golden data samples, `count` of them. */
export function sampledPositions(size: number, count: number, salt: number): number[] {
  return Array.from({ length: count }, (_, j) => (mixhash(j, salt) >>> 0) % size);
}

export function norm(values: Float32Array | Float64Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return Math.sqrt(sum);
}
