import { readdir } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { RND1Error } from '../../support/errors';
import { printableName } from '../../support/printable';
import type { EvaluationDocument } from '../tasks/definition';
import type { DataSource } from './data';
import { readJsonLines } from './json-lines';
import { readParquet } from './parquet';

/** Reads data sets of a folder: each in a folder of its own, named as on the hub or as its cache names it. */
export function folderSource(folder: string): DataSource {
  return async ({ repositories, config, split }) => {
    await entriesOf(folder, true);
    for (const repository of repositories) {
      for (const place of await placesOf(folder, repository)) {
        for (const inside of [join(place, config), join(place, 'data', config)]) {
          const files = filesOf(await entriesOf(inside), split);
          if (files.length > 0) return readAll(files.map((file) => join(inside, file)));
        }
      }
    }
    return undefined;
  };
}

/** Folders in which a data set may be, likeliest first. */
async function placesOf(folder: string, repository: string): Promise<string[]> {
  const name = repository.replace('/', '__');
  const cached = join(folder, `datasets--${repository.replace('/', '--')}`, 'snapshots');
  const snapshots = (await entriesOf(cached)).sort().map((revision) => join(cached, revision));
  return [join(folder, name), join(folder, repository), ...snapshots];
}

/** How files are read, by their endings; the first that a folder has are used. */
const readers = { '.jsonl': readJsonLines, '.parquet': readParquet };

/** The files of a split: one, or parts that are numbered. */
function filesOf(entries: readonly string[], split: string): string[] {
  for (const ending of Object.keys(readers)) {
    const whole = `${split}${ending}`;
    if (entries.includes(whole)) return [whole];
    const parts = entries.filter((entry) => entry.startsWith(`${split}-`) && entry.endsWith(ending));
    if (parts.length > 0) return parts.sort();
  }
  return [];
}

async function readAll(files: readonly string[]): Promise<EvaluationDocument[]> {
  const parts: EvaluationDocument[][] = [];
  for (const file of files) parts.push(await readers[extname(file) as keyof typeof readers](file));
  return parts.flat();
}

/** Names in a folder; none if it is missing, unless it must exist. */
async function entriesOf(folder: string, needed = false): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!needed && (code === 'ENOENT' || code === 'ENOTDIR')) return [];
    throw new RND1Error('io', `${printableName(folder)} cannot be read: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
