import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { DiffusionLM } from '../../lib';
import type { MaskedRow } from '../../lib/evaluation';
import type { EntropySource } from '../../lib/evaluation/likelihood/combine';
import { jsonFiles, readJson } from './evaluation';
import { fixturesFolder } from './goldens';
import { openModel } from './models';

interface LladaRow {
  readonly x: number;
  readonly masked: readonly number[];
}

interface DreamRound {
  readonly u0: number;
  readonly rows: readonly { readonly p: number; readonly masked: readonly number[] }[];
}

export interface GoldenRun {
  readonly mc_num: number;
  readonly batch_size: number;
  readonly value_f64: number;
  readonly value_f32: number;
  readonly value_from_table: number;
  readonly expectation: number;
  readonly rounds: readonly (readonly LladaRow[] | DreamRound)[];
}

export interface LikelihoodGolden {
  readonly name: string;
  readonly estimator: 'llada' | 'dream';
  readonly checkpoint: string;
  readonly mask_id: number;
  readonly eos_id?: number;
  readonly cfg?: number;
  readonly prefix: readonly number[];
  readonly target: readonly number[];
  readonly exact: number;
  readonly exact_eps_1e3?: number;
  readonly chain_rule_left_to_right?: number;
  readonly chain_rule_right_to_left?: number;
  /** Sets of masked positions and the cross entropies at these. */
  readonly table: readonly (readonly [readonly number[], readonly number[]])[];
  readonly runs: readonly GoldenRun[];
}

/** The goldens of a folder whose estimators are LLaDA's and Dream's. */
export const likelihoodGoldens = (folder: string): LikelihoodGolden[] =>
  jsonFiles(join(folder, 'likelihood'), '')
    .filter((name) => /^(llada|dream)-on-/.test(name))
    .map((name) => readJson<LikelihoodGolden>(join(folder, 'likelihood', name)));

/** A run's random choices as masks. */
export const masksOf = (rounds: GoldenRun['rounds']): readonly (readonly MaskedRow[])[] =>
  rounds.map((round) =>
    'rows' in round
      ? round.rows.map(({ p, masked }) => ({ masked, rate: p }))
      : round.map(({ masked }) => ({ masked })),
  );

/** Number of tokens that are scored: Dream's last one, the end of text, is not. */
export const scoredLength = ({ target, eos_id }: LikelihoodGolden): number =>
  eos_id === undefined ? target.length : target.length - 1;

/** The golden's cross entropies instead of a model's. */
export function tableSource({ table }: LikelihoodGolden): EntropySource {
  const keyOf = (positions: readonly number[]) => [...positions].sort((a, b) => a - b).join(' ');
  const entropies = new Map(table.map(([positions, values]) => [keyOf(positions), values]));
  return async (rows) =>
    rows.map((masked) => (masked.length === 0 ? [] : (entropies.get(keyOf(masked)) as number[])));
}

/** Folders in which tiny checkpoints may be. */
const checkpointFolders = [
  fixturesFolder,
  join(fixturesFolder, 'families'),
  process.env.RND1_EVAL_CHECKPOINTS ?? '',
];

/** The folder of a golden's checkpoint; undefined if it is not there. */
export const checkpointOf = (name: string): string | undefined =>
  checkpointFolders
    .map((folder) => join(folder, name))
    .find((folder) => existsSync(join(folder, 'config.json')));

/** The model of a golden, f32; closed by `closeModels`. */
export const openGolden = (checkpoint: string, mask: number): Promise<DiffusionLM> =>
  openModel({ checkpoint: checkpointOf(checkpoint) as string }, { specialTokens: { mask } });
