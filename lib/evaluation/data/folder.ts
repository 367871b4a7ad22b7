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
        for (const inside of foldersOf(config)) {
          const files = filesOf(await entriesOf(join(place, inside)), split);
          if (files.length > 0) return readFiles(files.map((file) => join(place, inside, file)));
        }
      }
    }
    return undefined;
  };
}

/** Folders of a data set in which a configuration may be, likeliest first. */
export const foldersOf = (config: string): readonly string[] => [config, `data/${config}`];

/** Folders in which a data set may be, likeliest first. */
async function placesOf(folder: string, repository: string): Promise<string[]> {
  const name = repository.replace('/', '__');
  const cached = join(folder, `datasets--${repository.replace('/', '--')}`, 'snapshots');
  const snapshots = (await entriesOf(cached)).sort().map((revision) => join(cached, revision));
  return [join(folder, name), join(folder, repository), ...snapshots];
}

/** How files are read, by their endings; the first that a folder has are used. */
const readers = { '.jsonl': readJsonLines, '.parquet': readParquet };

/** The files of a split among those of a folder: one, or parts that are numbered, in order. */
export function filesOf(entries: readonly string[], split: string): string[] {
  for (const ending of Object.keys(readers)) {
    const whole = `${split}${ending}`;
    if (entries.includes(whole)) return [whole];
    const parts = entries.filter((entry) => entry.startsWith(`${split}-`) && entry.endsWith(ending));
    if (parts.length > 0) return parts.sort();
  }
  return [];
}

/**
 * The documents of all files of a split, in order.
 *
 * @throws RND1Error `io`, or `invalid_data` naming the file, or where the names tell of parts that are missing
 */
export async function readFiles(files: readonly string[]): Promise<EvaluationDocument[]> {
  const count = Number(/-of-(\d+)\.\w+$/.exec(files[0] ?? '')?.[1] ?? files.length);
  if (count !== files.length)
    throw new RND1Error(
      'invalid_data',
      `${printableName(files[0] as string)}: ${files.length} of ${count} parts of this split are there`,
    );
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
