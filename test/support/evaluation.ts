import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FixedExamples } from '../../lib/evaluation';
import { fixturesFolder } from './goldens';

/** Goldens of the reference harness that quote nobody's texts: its FORMAT.md describes them. */
export const evaluationFolder = join(fixturesFolder, 'evaluation');

/** All goldens, with the texts that this project does not hold; undefined unless RND1_EVAL_GOLDENS names their folder. */
export const allGoldens: string | undefined = process.env.RND1_EVAL_GOLDENS;

/** A folder of goldens as the tests go through them. */
export interface GoldenFolder {
  readonly name: string;
  readonly folder: string;
  /** The fixed examples of a version of BBH, of gsm8k_cot and of MBPP, by the name of the task. */
  readonly prompts: (bbhVersion: number) => Readonly<Record<string, FixedExamples>>;
}

/** The goldens of this project and, if they are there, all of them. Says so loudly if they are not. */
export function goldenFolders(): GoldenFolder[] {
  const own = { name: 'own goldens', folder: evaluationFolder, prompts: () => ({}) };
  if (allGoldens === undefined) {
    process.stderr.write('SKIPPED: goldens with fixed examples; set RND1_EVAL_GOLDENS to their folder\n');
    return [own];
  }
  const root = allGoldens;
  const parts = ['fixtures', 'heldout'].filter((part) => existsSync(join(root, part)));
  if (parts.length === 0)
    throw new RangeError(`RND1_EVAL_GOLDENS: ${root} holds neither fixtures nor heldout`);
  return [
    own,
    ...parts.map((part) => ({
      name: `all goldens, ${part}`,
      folder: join(root, part),
      prompts: (version: number) => readPrompts(join(root, 'prompts'), version),
    })),
  ];
}

interface BbhPrompts {
  readonly version: number;
  readonly target_delimiter: string;
  readonly tasks: Readonly<
    Record<string, { task: string; description: string; samples: FixedExamples['samples'] }>
  >;
}

function readPrompts(folder: string, version: number): Record<string, FixedExamples> {
  const bbh = readJson<BbhPrompts>(join(folder, `bbh-v${version}.json`));
  const others = ['gsm8k_cot', 'mbpp'].map((task) => [
    task,
    readJson<FixedExamples>(join(folder, `${task}.json`)),
  ]);
  const parts = Object.values(bbh.tasks).map(({ task, description, samples }) => [
    task,
    { version: bbh.version, targetDelimiter: bbh.target_delimiter, description, samples },
  ]);
  return Object.fromEntries([...others, ...parts]);
}

export const readJson = <T>(path: string): T => JSON.parse(readFileSync(path, 'utf8')) as T;

/** Names of the JSON files of a folder that begin with `prefix`. */
export const jsonFiles = (folder: string, prefix: string): string[] =>
  readdirSync(folder).filter((name) => name.startsWith(prefix) && name.endsWith('.json'));

/** Numbers of goldens: those that JSON cannot hold are words. */
export const numberOf = (value: number | string): number => Number(value);
