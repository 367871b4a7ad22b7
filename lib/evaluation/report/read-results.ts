import { basename, join, resolve } from 'node:path';
import { RND1Error } from '../../support/errors';
import { printableName } from '../../support/printable';
import { readJsonLines, readText } from '../data/json-lines';
import type { HarnessResults } from '../run/results';
import { sampledTasks, samplesPath } from '../run/samples';
import type { EvaluationDocument } from '../tasks/definition';

/** A folder of results, as it was written. */
export interface ReadResults {
  /** The folder's own name. */
  readonly name: string;
  readonly results: HarnessResults;
  /** Lines of samples by the name of the task. */
  readonly samples: ReadonlyMap<string, readonly EvaluationDocument[]>;
}

/** @throws RND1Error `io`, `invalid_data` for a results.json that is not one */
export async function readResults(folder: string): Promise<ReadResults> {
  const path = join(folder, 'results.json');
  const text = await readText(path);
  const samples = new Map<string, readonly EvaluationDocument[]>();
  for (const task of await sampledTasks(folder))
    samples.set(task, await readJsonLines(samplesPath(folder, task)));
  return { name: basename(resolve(folder)), results: parsed(text, path), samples };
}

function parsed(text: string, path: string): HarnessResults {
  let value: Partial<HarnessResults> | null;
  try {
    value = JSON.parse(text) as Partial<HarnessResults> | null;
  } catch (error) {
    throw new RND1Error('invalid_data', `${printableName(path)}: ${(error as Error).message}`, {
      cause: error,
    });
  }
  const isObject = (part: unknown) => typeof part === 'object' && part !== null;
  const { results, versions, rnd1 } = value ?? {};
  if (!isObject(results) || !isObject(versions) || !isObject(rnd1?.costs))
    throw new RND1Error('invalid_data', `${printableName(path)}: these are no results of \`rnd1 eval\``);
  return value as HarnessResults;
}
