import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { DownloadProgress } from '../api/types';
import { RND1Error } from '../support/errors';
import { CachedRepository } from './cache';
import { asIoError, nameOf, type Subject } from './failure';
import { checkRoom, type FetchTarget, fetchFiles } from './fetch-files';
import { currentCommit, RemoteRepository } from './remote';
import type { Repository } from './repository';
import { type HubSettings, secretsOf } from './settings';

/** A commit, and whether the hub can be asked for more of it. */
interface Opened {
  readonly commit: string;
  readonly reachable: boolean;
}

/**
 * A data set on the Hugging Face hub at the revision of the settings. Its files are fetched into the cache, which is
 * shared with Python's huggingface_hub, when they are asked for. Without a network, those of the cache are used.
 */
export class HubDataSet {
  readonly #subject: Subject;
  readonly #cache: CachedRepository;
  #opened: Promise<Opened> | undefined;

  constructor(
    repo: Repository,
    settings: HubSettings,
    private readonly signal: AbortSignal,
    private readonly onProgress?: (progress: DownloadProgress) => void,
  ) {
    this.#subject = { kind: 'dataset', repo, settings };
    this.#cache = new CachedRepository(settings.cacheDir, repo, 'dataset');
  }

  /**
   * Fetches files of a folder.
   *
   * @param choose picks from the names of the files that are directly in it
   * @returns paths of the chosen files
   * @throws RND1Error `access_denied`, `not_found` for the whole data set, `offline`, `network` or `io`;
   *   `signal.reason` when aborted
   */
  async fetch(folder: string, choose: (names: readonly string[]) => readonly string[]): Promise<string[]> {
    this.#opened ??= this.#open();
    const { commit, reachable } = await this.#opened;
    const place = join(this.#cache.snapshot(commit), folder);
    if (!reachable) return choose(await readdir(place).catch(() => [])).map((name) => join(place, name));
    try {
      const listed = await new RemoteRepository(this.#subject, this.signal).filesIn(commit, folder);
      const chosen = choose(listed.map(({ path }) => basename(path)));
      const files = listed.filter(({ path }) => chosen.includes(basename(path)));
      if (files.length > 0) {
        const target: FetchTarget = {
          cache: this.#cache,
          subject: this.#subject,
          commit,
          signal: this.signal,
        };
        await this.#cache.prepare();
        await checkRoom(target, files);
        await fetchFiles(target, files, this.onProgress);
        await this.#cache.writeRef(this.#subject.settings.revision, commit);
      }
      return chosen.map((name) => join(place, name));
    } catch (error) {
      this.signal.throwIfAborted();
      throw secretsOf(this.#subject.settings).error(asIoError(error, this.#cache.folder));
    }
  }

  async #open(): Promise<Opened> {
    const { settings } = this.#subject;
    const cached = await this.#cache.commit(settings.revision);
    if (settings.offline) {
      if (cached !== null) return { commit: cached, reachable: false };
      throw new RND1Error(
        'offline',
        `${nameOf(this.#subject)} is not in the cache at ${settings.cacheDir}, and HF_HUB_OFFLINE or the option offline forbids fetching it`,
      );
    }
    const commit = await currentCommit(this.#subject, cached !== null, this.signal);
    return { commit: commit ?? (cached as string), reachable: commit !== null };
  }
}
