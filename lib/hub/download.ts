import { RND1Error } from '../errors';
import { downloadNames } from '../option-names';
import type { DownloadOptions, DownloadProgress } from '../types';
import { callbackOption, optionsObject, quote, signalOption, stringOption } from '../validate';
import { CachedRepository } from './cache';
import { nameOf } from './failure';
import { RemoteRepository } from './remote';
import { isCommit, isRepository, type Repository } from './repository';
import { type HubSettings, hubSettings, secretsOf } from './settings';
import { Snapshot } from './snapshot';
import { hasTokenizer } from './wanted-files';

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
  const secrets = secretsOf(settings);
  let commit: string;
  try {
    commit = await new RemoteRepository({ repo, settings: brief }, signal).commit();
  } catch (error) {
    signal.throwIfAborted();
    secrets.error(error);
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
    // What the hub says comes into messages, names and causes, and with it what was sent to it.
    throw theirs === null ? secrets.error(asIoError(error, cache.folder)) : theirs.error;
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
