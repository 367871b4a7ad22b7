import { existsSync, readFileSync, renameSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { initialize } from '../../../lib/training';
import { causalConfig } from '../../../models/nano-training/config';
import { circumstances, writeJson } from '../../support/record';
import { canvasLength } from './texts';

/** Its tokenizer is that of the studies' models. */
export const nano = resolve(__dirname, '..', '..', '..', 'models', 'nano');

/** What a study is told. */
export interface StudyArguments {
  readonly folder: string;
  /** Of models, data and masks. */
  readonly seeds: readonly number[];
  /** Whether only to look if all parts work. */
  readonly quick: boolean;
}

export function studyArguments(name: string, defaultSeeds = '1,2'): StudyArguments {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { seeds: { type: 'string', default: defaultSeeds }, quick: { type: 'boolean', default: false } },
  });
  const [folder] = positionals;
  if (folder === undefined) throw new RangeError(`name a folder: npx tsx bench/studies/${name}.ts FOLDER`);
  const seeds = values.seeds.split(',').map(Number);
  if (!seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 0))
    throw new RangeError(`--seeds must be integers, not ${values.seeds}`);
  return { folder, seeds, quick: values.quick };
}

/** A result that is measured once: afterwards it is read from its file. */
export async function kept<T>(path: string, measure: () => Promise<T>): Promise<T> {
  if (existsSync(path)) return JSON.parse(readFileSync(path, 'utf8')) as T;
  const result = await measure();
  writeJson(`${path}.partial`, result);
  renameSync(`${path}.partial`, path);
  return result;
}

/** A causal model of nano's sizes with random weights, made if it is not there. */
export async function startingModel(folder: string, seed: number): Promise<string> {
  const config = { ...causalConfig(), max_position_embeddings: canvasLength };
  if (!existsSync(folder)) await initialize(folder, { config, tokenizer: nano, seed });
  return folder;
}

/** A study's results with what makes them reproducible. */
export function writeResults(path: string, results: object): void {
  // Without the variable, the best of this machine.
  const instructionSet = process.env.RND1_CPU ?? null;
  writeJson(path, { ...circumstances('cpu'), instructionSet, results });
}
