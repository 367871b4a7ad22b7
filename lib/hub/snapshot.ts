import type { DownloadProgress } from '../api/types';
import { limitsOf } from '../checkpoint/files';
import { readSettings } from '../checkpoint/folder';
import { firstFew } from '../checkpoint/format';
import { RND1Error } from '../support/errors';
import { forEachOf } from '../support/for-each-of';
import { formatBytes } from '../support/format-bytes';
import { quote } from '../support/validate';
import type { CachedRepository } from './cache';
import { nameOf, type Subject } from './failure';
import { Tracker } from './progress';
import { type RemoteFile, RemoteRepository } from './remote';
import { checkSpace } from './space';
import { transfer } from './transfer';
import { CONFIG_FILE, INDEX_FILE, SINGLE_FILE, settingFiles, shardsOf } from './wanted-files';

/** Files that are downloaded at once. */
const concurrency = 8;
/** RND1 has 13. */
const shardLimit = 10_000;

/** Downloads the files of one commit into the cache. */
export class Snapshot {
  readonly #remote: RemoteRepository;
  readonly #folder: string;

  constructor(
    private readonly cache: CachedRepository,
    private readonly subject: Subject,
    private readonly commit: string,
    private readonly signal: AbortSignal,
  ) {
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
    await this.#fetchAll(settings, new Tracker(settings, undefined));
    await readSettings(this.#folder);

    const weights = single ? [single] : await this.#shards();
    const files = [...settings, ...weights];
    await this.#checkSpace(weights);
    await this.#fetchAll(files, new Tracker(files, report));
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

  async #checkSpace(files: readonly RemoteFile[]): Promise<void> {
    let needed = 0;
    for (const file of files) needed += file.bytes - (await this.cache.bytesOf(file, this.commit));
    await checkSpace(this.cache.folder, needed, nameOf(this.subject));
  }

  /** Reports nothing if no file is missing. */
  async #fetchAll(files: readonly RemoteFile[], tracker: Tracker): Promise<void> {
    const missing: RemoteFile[] = [];
    for (const file of files) {
      const whole = await this.cache.has(file, this.commit);
      tracker.start(file, await this.cache.bytesOf(file, this.commit), whole);
      if (whole) await this.cache.link(file, this.commit);
      else missing.push(file);
    }
    await forEachOf(missing, concurrency, this.signal, async (file, signal) => {
      await transfer({
        file,
        commit: this.commit,
        blob: this.cache.blob(file),
        subject: { ...this.subject, file: file.path },
        signal,
        onBytes: (bytes) => tracker.update(file, bytes),
      });
      await this.cache.link(file, this.commit);
      tracker.done(file);
    });
  }

  #invalid(problem: string): RND1Error {
    return new RND1Error('invalid_checkpoint', `${nameOf(this.subject)} ${problem}`);
  }
}
