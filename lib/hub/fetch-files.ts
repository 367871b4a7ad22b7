import type { DownloadProgress } from '../api/types';
import { forEachOf } from '../support/for-each-of';
import type { CachedRepository } from './cache';
import { nameOf, type Subject } from './failure';
import { Tracker } from './progress';
import type { RemoteFile } from './remote';
import { checkSpace } from './space';
import { transfer } from './transfer';

/** Files that are downloaded at once. */
const concurrency = 8;

/** A commit of a repository, and the cache that gets its files. */
export interface FetchTarget {
  readonly cache: CachedRepository;
  readonly subject: Subject;
  readonly commit: string;
  readonly signal: AbortSignal;
}

/** @throws RND1Error `io` unless the disk has room for what the cache lacks of some files */
export async function checkRoom(
  { cache, subject, commit }: FetchTarget,
  files: readonly RemoteFile[],
): Promise<void> {
  let needed = 0;
  for (const file of files) needed += file.bytes - (await cache.bytesOf(file, commit));
  await checkSpace(cache.folder, needed, nameOf(subject));
}

/** Fetches files into the cache, those that it lacks. Reports nothing if no file is missing. */
export async function fetchFiles(
  { cache, subject, commit, signal }: FetchTarget,
  files: readonly RemoteFile[],
  report?: (progress: DownloadProgress) => void,
): Promise<void> {
  const tracker = new Tracker(files, report);
  const missing: RemoteFile[] = [];
  for (const file of files) {
    const whole = await cache.has(file, commit);
    tracker.start(file, await cache.bytesOf(file, commit), whole);
    if (whole) await cache.link(file, commit);
    else missing.push(file);
  }
  await forEachOf(missing, concurrency, signal, async (file, signal) => {
    await transfer({
      file,
      commit,
      blob: cache.blob(file),
      subject: { ...subject, file: file.path },
      signal,
      onBytes: (bytes) => tracker.update(file, bytes),
    });
    await cache.link(file, commit);
    tracker.done(file);
  });
}
