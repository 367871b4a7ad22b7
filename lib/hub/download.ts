import { firstFew } from '../checkpoint/format';
import { RND1Error } from '../errors';
import { downloadNames } from '../option-names';
import { readSettings } from '../settings';
import type { DownloadOptions, DownloadProgress } from '../types';
import { callbackOption, optionsObject, quote, signalOption, stringOption } from '../validate';
import { CachedRepository } from './cache';
import { nameOf, type Subject } from './failure';
import { forEachOf } from './pool';
import { Tracker } from './progress';
import { type RemoteFile, RemoteRepository } from './remote';
import { isCommit, isRepository, type Repository } from './repository';
import { type HubSettings, hubSettings } from './settings';
import { checkSpace } from './space';
import { transfer } from './transfer';
import { CONFIG_FILE, hasTokenizer, INDEX_FILE, SINGLE_FILE, settingFiles, shardsOf } from './wanted-files';

/** Files that are downloaded at once. */
const concurrency = 8;

/**
 * Fetches a model from the Hugging Face hub into the cache that Python's huggingface_hub uses too, unless it is there:
 * its configuration, its tokenizer and its weights. What an earlier download has left is gone on with; sizes and hashes
 * are checked; several processes may download the same model.
 *
 * @param repo its name, as `'radicalnumerics/RND1-Base-0910'`
 * @returns the folder, for `RND1.load`
 * @throws RND1Error `access_denied`, `not_found`, `offline`, `network`, `io` (no room on the disk), `unsupported_model`
 *   or `invalid_checkpoint`, before the weights are fetched; with `signal.reason` when aborted
 */
export async function downloadCheckpoint(repo: string, options?: DownloadOptions): Promise<string> {
  const { onProgress, signal, ...hub } = optionsObject('options', options, downloadNames);
  stringOption('repo', repo);
  if (!isRepository(repo)) {
    throw new TypeError(`repo must be the name of a model on the hub, as 'org/name', not ${quote(repo)}`);
  }
  callbackOption('onProgress', onProgress);
  const outer = signalOption(signal);
  outer?.throwIfAborted();
  return fetchSnapshot(repo, await hubSettings(hub), onProgress, outer);
}

/** `downloadCheckpoint` with settings that are checked. */
export async function fetchSnapshot(
  repo: Repository,
  settings: HubSettings,
  onProgress?: (progress: DownloadProgress) => void,
  signal: AbortSignal = new AbortController().signal,
): Promise<string> {
  const cache = new CachedRepository(settings.cacheDir, repo);
  const cached = await cache.complete(settings.revision);
  if (settings.offline) {
    if (cached !== null) return cached;
    throw new RND1Error(
      'offline',
      `${nameOf({ repo, settings })} is not, or not all of it, in the cache at ${settings.cacheDir}, and HF_HUB_OFFLINE or the option offline forbids to fetch it`,
    );
  }
  // A branch may have moved; a commit is what it is.
  if (cached !== null && isCommit(settings.revision) && (await hasTokenizer(cached))) return cached;

  // Who has no network should learn it soon, and who has a copy does not care.
  const brief = { ...settings, attempts: cached === null ? 3 : 1 };
  let commit: string;
  try {
    commit = await new RemoteRepository({ repo, settings: brief }, signal).commit();
  } catch (error) {
    if (cached === null || !(error instanceof RND1Error) || error.code !== 'network') throw error;
    process.emitWarning(`${error.message}; going on with what is in the cache`, 'RND1Warning');
    return cached;
  }
  let thrown: { readonly error: unknown } | null = null;
  const report = (progress: DownloadProgress) => {
    try {
      onProgress?.(progress);
    } catch (error) {
      thrown ??= { error };
      throw error;
    }
  };
  try {
    return await new Snapshot(cache, { repo, settings }, commit, signal).fetch(report);
  } catch (error) {
    signal.throwIfAborted();
    const theirs = thrown as { readonly error: unknown } | null;
    throw theirs === null ? asIoError(error, cache.folder) : theirs.error;
  }
}

/** The files of one commit on their way into the cache. */
class Snapshot {
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

  /** Settings come first and are looked at: nobody wants to wait for the weights of a model that cannot be run. */
  async fetch(report: (progress: DownloadProgress) => void): Promise<string> {
    const listed = await this.#remote.files(this.commit, [...settingFiles, SINGLE_FILE, INDEX_FILE]);
    const single = listed.get(SINGLE_FILE);
    if (!listed.has(CONFIG_FILE)) throw this.#invalid(`has no ${CONFIG_FILE}`);
    if (!single && !listed.has(INDEX_FILE))
      throw this.#invalid(`has neither ${SINGLE_FILE} nor ${INDEX_FILE}`);
    const settings = [...listed.values()].filter(
      ({ path }) => path !== SINGLE_FILE && !(single && path === INDEX_FILE),
    );
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

  /** Reports nothing when nothing is missing. */
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

/** What the file system refuses, as our error. */
function asIoError(error: unknown, folder: string): unknown {
  if (error instanceof RND1Error || (error as { syscall?: unknown } | null)?.syscall === undefined)
    return error;
  return new RND1Error('io', `cannot write the cache in ${folder}: ${(error as Error).message}`, {
    cause: error,
  });
}
