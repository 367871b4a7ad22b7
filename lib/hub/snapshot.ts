import type { DownloadProgress } from '../api/types';
import { limitsOf } from '../checkpoint/files';
import { readSettings } from '../checkpoint/folder';
import { firstFew } from '../checkpoint/format';
import { RND1Error } from '../support/errors';
import { formatBytes } from '../support/format-bytes';
import { quote } from '../support/validate';
import type { CachedRepository } from './cache';
import { nameOf, type Subject } from './failure';
import { checkRoom, type FetchTarget, fetchFiles } from './fetch-files';
import { type RemoteFile, RemoteRepository } from './remote';
import { CONFIG_FILE, INDEX_FILE, SINGLE_FILE, settingFiles, shardsOf } from './wanted-files';

/** RND1 has 13. */
const shardLimit = 10_000;

/** Downloads the files of one commit into the cache. */
export class Snapshot {
  readonly #remote: RemoteRepository;
  readonly #folder: string;
  readonly #target: FetchTarget;

  constructor(
    private readonly cache: CachedRepository,
    private readonly subject: Subject,
    private readonly commit: string,
    signal: AbortSignal,
  ) {
    this.#target = { cache, subject, commit, signal };
    this.#remote = new RemoteRepository(subject, signal);
    this.#folder = cache.snapshot(commit);
  }

  /** Fetches and checks settings before weights, so that an unusable model fails soon. Returns the folder. */
  async fetch(report: (progress: DownloadProgress) => void): Promise<string> {
    const listed = await this.#remote.files(this.commit, [...settingFiles, SINGLE_FILE, INDEX_FILE]);
    const single = listed.get(SINGLE_FILE);
    if (!listed.has(CONFIG_FILE)) throw this.#invalid(`has no ${CONFIG_FILE}`);
    if (!single && !listed.has(INDEX_FILE))
      throw this.#invalid(`has neither ${SINGLE_FILE} nor ${INDEX_FILE}`);
    const settings = [...listed.values()].filter(
      ({ path }) => path !== SINGLE_FILE && !(single && path === INDEX_FILE),
    );
    for (const { path, bytes } of settings) {
      const limit = limitsOf(path).bytes;
      if (bytes > limit) {
        throw this.#invalid(`has ${formatBytes(bytes)} of ${path}; the limit is ${formatBytes(limit)}`);
      }
    }
    await this.cache.prepare();
    await fetchFiles(this.#target, settings);
    await readSettings(this.#folder);

    const weights = single ? [single] : await this.#shards();
    const files = [...settings, ...weights];
    await checkRoom(this.#target, weights);
    await fetchFiles(this.#target, files, report);
    await this.cache.writeRef(this.subject.settings.revision, this.commit);
    return this.#folder;
  }

  async #shards(): Promise<RemoteFile[]> {
    const names = await shardsOf(this.#folder);
    if (names.length > shardLimit) throw this.#invalid(`has more than ${shardLimit} shards`);
    const found = await this.#remote.files(this.commit, names);
    const missing = names.filter((name) => !found.has(name));
    if (names.length === 0 || missing.length > 0) {
      const list = firstFew(missing.map((name) => quote(name)));
      throw this.#invalid(
        `lacks ${missing.length} of the ${names.length} shards of its ${INDEX_FILE}: ${list}`,
      );
    }
    return names.map((name) => found.get(name) as RemoteFile);
  }

  #invalid(problem: string): RND1Error {
    return new RND1Error('invalid_checkpoint', `${nameOf(this.subject)} ${problem}`);
  }
}
