import type { DataSource } from '../evaluation';
import { splitName } from '../evaluation/data/data';
import { filesOf, folderSource, foldersOf, readFiles } from '../evaluation/data/folder';
import { HubDataSet } from '../hub/data-set';
import type { Repository } from '../hub/repository';
import { type HubSettings, hubSettings } from '../hub/settings';
import { RND1Error } from '../index';
import { printableName } from '../support/printable';
import { DownloadView } from './download-view';
import { type HubFlags, hubOf } from './options';

/** Flags that say where data sets are. */
export interface DataFlags extends HubFlags {
  readonly data?: string;
  readonly download?: boolean;
  readonly quiet?: boolean;
}

/** The data sets of a folder, of the hub, or of a folder and then the hub. */
export function dataOf(flags: DataFlags, signal: AbortSignal): DataSource {
  const { data, download } = flags;
  const own: DataSource = data === undefined ? async () => undefined : folderSource(data);
  const others = download ? hubData(flags, signal) : missingData(data);
  return async (split) => (await own(split)) ?? others(split);
}

/** Says how to get what is missing. */
const missingData =
  (data: string | undefined): DataSource =>
  async (split) => {
    const where =
      data === undefined ? '--data names a folder that has it' : `${printableName(data)} has none`;
    const message = `the data set ${splitName(split)} is not there: ${where}; --download fetches it`;
    throw new RND1Error('invalid_data', message);
  };

/** The hub's settings, read when they are needed first. */
export function settingsOf(flags: HubFlags): () => Promise<HubSettings> {
  // --revision is the model's.
  const { revision: _, ...hub } = hubOf(flags);
  let settings: Promise<HubSettings> | undefined;
  return () => {
    settings ??= hubSettings(hub);
    return settings;
  };
}

/** Splits of data sets of the hub, fetched when they are asked for, with a progress bar. */
function hubData({ quiet, ...flags }: DataFlags, signal: AbortSignal): DataSource {
  const settings = settingsOf(flags);
  const view = quiet ? null : new DownloadView(process.stderr);
  const known = new Map<string, HubDataSet>();
  const open = async (repository: string) => {
    const set =
      known.get(repository) ??
      new HubDataSet(repository as Repository, await settings(), signal, (progress) =>
        view?.update(progress),
      );
    known.set(repository, set);
    return set;
  };
  return async ({ repositories, config, split }) => {
    let missing: unknown;
    for (const repository of repositories) {
      try {
        const set = await open(repository);
        for (const folder of foldersOf(config)) {
          const files = await set.fetch(folder, (names) => filesOf(names, split));
          if (files.length > 0) return await readFiles(files);
        }
      } catch (error) {
        // Another repository may have the same data.
        if (!(error instanceof RND1Error) || error.code !== 'not_found') throw error;
        missing ??= error;
      } finally {
        view?.close();
      }
    }
    if (missing !== undefined) throw missing;
    return undefined;
  };
}
