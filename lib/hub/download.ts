import type { DownloadOptions, DownloadProgress } from '../api/types';
import { RND1Error } from '../support/errors';
import { downloadNames } from '../support/option-names';
import { callbackOption, optionsObject, quote, signalOption, stringOption } from '../support/validate';
import { CachedRepository } from './cache';
import { asIoError, nameOf } from './failure';
import { currentCommit } from './remote';
import { isCommit, isRepository, type Repository } from './repository';
import { type HubSettings, hubSettings, secretsOf } from './settings';
import { Snapshot } from './snapshot';
import { hasTokenizer } from './wanted-files';

/**
 * Downloads a model's configuration, tokenizer and weights from the Hugging Face hub, unless they are in the cache,
 * which is shared with Python's huggingface_hub. Interrupted downloads resume; sizes and hashes are checked; several
 * processes may download the same model.
 *
 * @param repo name of the model, such as `'radicalnumerics/RND1-Base-0910'`
 * @returns path of the folder, for `DiffusionLM.load`
 * @throws RND1Error `access_denied`, `not_found`, `offline`, `network`, `io` (such as a full disk) or, before the
 *   weights are fetched, `unsupported_model` or `invalid_checkpoint`; `signal.reason` when aborted
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

/** `downloadCheckpoint` with checked settings. */
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
      `${nameOf({ repo, settings })} is not complete in the cache at ${settings.cacheDir}, and HF_HUB_OFFLINE or the option offline forbids fetching it`,
    );
  }
  // A branch may have moved; a commit never changes.
  if (cached !== null && isCommit(settings.revision) && (await hasTokenizer(cached))) return cached;

  const commit = await currentCommit({ repo, settings }, cached !== null, signal);
  if (commit === null) return cached as string;
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
    // Errors quote the hub's answers, which may repeat the secrets that were sent to it.
    throw theirs === null ? secretsOf(settings).error(asIoError(error, cache.folder)) : theirs.error;
  }
}
