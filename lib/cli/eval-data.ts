import type { DataSource } from '../evaluation';
import { filesOf, folderSource, foldersOf, readFiles } from '../evaluation/data/folder';
import { HubDataSet } from '../hub/data-set';
import type { Repository } from '../hub/repository';
import { type HubSettings, hubSettings } from '../hub/settings';
import { RND1Error } from '../index';
import { DownloadView } from './download-view';
import { type HubFlags, hubOf } from './options';

/** Flags that say where data sets are. */
export interface DataFlags extends HubFlags {
  readonly data?: string;
  readonly download?: boolean;
  readonly quiet?: boolean;
}

/** The data sets of a folder, of the hub, or of a folder and then the hub. */
export function dataOf(flags: DataFlags, signal: AbortSignal): DataSource | string | undefined {
  if (!flags.download) return flags.data;
  const remote = hubData(flags, signal);
  if (flags.data === undefined) return remote;
  const own = folderSource(flags.data);
  return async (split) => (await own(split)) ?? remote(split);
}

/** Splits of data sets of the hub, fetched when they are asked for, with a progress bar. */
function hubData({ quiet, ...flags }: DataFlags, signal: AbortSignal): DataSource {
  // --revision is the model's.
  const { revision: _, ...hub } = hubOf(flags);
  const view = quiet ? null : new DownloadView(process.stderr);
  let settings: HubSettings | undefined;
  const known = new Map<string, HubDataSet>();
  const open = async (repository: string) => {
    settings ??= await hubSettings(hub);
    const set =
      known.get(repository) ??
      new HubDataSet(repository as Repository, settings, signal, (progress) => view?.update(progress));
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
