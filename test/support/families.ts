import { join } from 'node:path';
import { SHARE_ENV, Worker } from 'node:worker_threads';
import type { DiffusionLM, ForwardOptions, LoadOptions } from '../../lib';
import { fixturesFolder, GoldenArrays, readGolden, type WithArrays } from './goldens';
import { openModel } from './models';
import type { ErrorScales } from './passes';

export type Checkpoint = (typeof familyCheckpoints)[number];

/** The tiny checkpoints of test/fixtures/families, which its FORMAT.md lists. */
export const familyCheckpoints = [
  'tiny-llada',
  'tiny-dream',
  'tiny-llada-moe',
  'tiny-qwen3-moe',
  'tiny-qwen3',
  'tiny-a2d-qwen3',
  'tiny-llada2',
] as const;

/** Mask tokens that the files do not name: each family's known id is beyond the tiny vocabulary. */
const maskTokens: Partial<Record<Checkpoint, number>> = {
  'tiny-llada-moe': 375,
  'tiny-a2d-qwen3': 369,
  'tiny-llada2': 379,
};

/** Blocks of the models' own attention masks; 0, all positions are visible, for the others. */
const ownBlocks: Partial<Record<Checkpoint, number>> = {
  'tiny-qwen3-moe': 1,
  'tiny-qwen3': 1,
  'tiny-llada2': 32,
};

type Attention =
  | { readonly type: 'full' | 'causal' }
  | { readonly type: 'block_causal'; readonly block: number };

interface FamilyGolden extends WithArrays {
  readonly checkpoint: Checkpoint;
  readonly attention: Attention;
  readonly tokens: readonly number[];
  readonly f32_vs_f64: ErrorScales;
  /** Smallest distance that decides a route; null without experts. */
  readonly min_router_gap: number | null;
}

export interface FamilyCase {
  readonly name: string;
  readonly checkpoint: Checkpoint;
  readonly golden: FamilyGolden;
}

/** Every forward case. */
export function familyCases(): FamilyCase[] {
  const { cases } = readGolden<{ cases: { case: string }[] }>('families/forward/index.json');
  return cases.map(({ case: name }) => {
    const golden = readGolden<FamilyGolden>(`families/forward/${name}.json`);
    return { name, checkpoint: golden.checkpoint, golden };
  });
}

export const arraysOf = ({ name, golden }: FamilyCase): GoldenArrays =>
  new GoldenArrays(`families/forward/${name}.json`, golden);

/** The folder of a tiny checkpoint. */
export const familyFolder = (checkpoint: Checkpoint): string => join(fixturesFolder, 'families', checkpoint);

/** Special tokens for loading a tiny checkpoint. */
export function familyTokens(checkpoint: Checkpoint): LoadOptions {
  const mask = maskTokens[checkpoint];
  return mask === undefined ? {} : { specialTokens: { mask } };
}

/** A tiny checkpoint, f32 unless `options` override it; closed by `closeModels`. */
export const openFamily = (checkpoint: Checkpoint, options: LoadOptions = {}): Promise<DiffusionLM> =>
  openModel({ checkpoint: join('families', checkpoint) }, { ...familyTokens(checkpoint), ...options });

function blockOf(attention: Attention): number {
  if (attention.type === 'block_causal') return attention.block;
  return attention.type === 'causal' ? 1 : 0;
}

/** Options of `forward` for a case: everything that it can return, and the block if it is not the model's own. */
export function forwardOptions({ checkpoint, golden }: FamilyCase): ForwardOptions {
  const block = blockOf(golden.attention);
  const own = ownBlocks[checkpoint] ?? 0;
  return {
    hidden: true,
    routing: golden.min_router_gap !== null,
    ...(block !== own && { blockLength: block }),
  };
}

/** Layers that have experts, ascending. */
export function expertLayers({ golden }: FamilyCase): number[] {
  const layers = Object.keys(golden.arrays).flatMap(
    (name) => /^router_logits\.layer(\d+)$/.exec(name)?.[1] ?? [],
  );
  return layers.map(Number).sort((a, b) => a - b);
}

/**
 * Makes models that are loaded from now on use an instruction set; undefined: the best one. The addon reads the
 * environment of the process, which jest's `process.env` is a copy of; a worker that shares it can change it.
 */
export async function useInstructionSet(name: string | undefined): Promise<void> {
  const body =
    name === undefined ? 'delete process.env.RND1_CPU' : `process.env.RND1_CPU = ${JSON.stringify(name)}`;
  const worker = new Worker(body, { eval: true, env: SHARE_ENV });
  await new Promise((resolve, reject) => worker.on('error', reject).on('exit', resolve));
}
