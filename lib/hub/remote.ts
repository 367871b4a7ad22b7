import { posix } from 'node:path';
import { RND1Error } from '../support/errors';
import { quote } from '../support/validate';
import { nameOf, type Subject } from './failure';
import { hubLibrary } from './library';
import { isCommit } from './repository';
import { apiFetch } from './request';
import { secretsOf } from './settings';

/** A file of a repository as the hub describes it. */
export interface RemoteFile {
  /** From the root of the repository, with forward slashes. */
  readonly path: string;
  readonly bytes: number;
  /** Content hash, and name of the blob: SHA-256 for large files, git's SHA-1 for others. */
  readonly hash: string;
}

/** Limits: entries of a folder, pages of a list, folders. */
const entryLimit = 100_000;
const pageLimit = 200;
const folderLimit = 100;

/** The current commit of the subject's revision; null if the hub cannot be reached and there is a copy in the cache. */
export async function currentCommit(
  { settings, ...subject }: Subject,
  hasCopy: boolean,
  signal: AbortSignal,
): Promise<string | null> {
  // Fail soon without a network; with a cached copy, one attempt is enough.
  const brief = { ...settings, attempts: hasCopy ? 1 : 3 };
  try {
    return await new RemoteRepository({ ...subject, settings: brief }, signal).commit();
  } catch (error) {
    signal.throwIfAborted();
    secretsOf(settings).error(error);
    if (!hasCopy || !(error instanceof RND1Error) || error.code !== 'network') throw error;
    process.emitWarning(`${error.message}; using the copy in the cache`, 'RND1Warning');
    return null;
  }
}

/** A model or data set at a revision, as the hub describes it. */
export class RemoteRepository {
  constructor(
    readonly subject: Subject,
    private readonly signal: AbortSignal,
  ) {}

  /** The current commit of the revision. */
  async commit(): Promise<string> {
    const { kind, repo, settings } = this.subject;
    const wanted = {
      name: repo,
      revision: settings.revision,
      hubUrl: settings.endpoint,
      additionalFields: ['sha' as const],
      fetch: apiFetch(this.subject, this.signal, 1),
    };
    const { datasetInfo, modelInfo } = hubLibrary();
    const info = await this.#call<{ readonly sha: unknown }>(() =>
      kind === 'dataset' ? datasetInfo(wanted) : modelInfo(wanted),
    );
    if (typeof info.sha !== 'string' || !isCommit(info.sha))
      throw this.#unusable(`a commit of ${quote(info.sha)}`);
    return info.sha;
  }

  /** The files of a commit that are `wanted`, by path; missing ones are left out. */
  async files(commit: string, wanted: Iterable<string>): Promise<Map<string, RemoteFile>> {
    const paths = new Set(wanted);
    const folders = new Set([...paths].map((path) => posix.dirname(path)));
    if (folders.size > folderLimit) {
      const problem = `${nameOf(this.subject)} has its weights in more than ${folderLimit} folders`;
      throw new RND1Error('invalid_checkpoint', problem);
    }
    const found = new Map<string, RemoteFile>();
    for (const folder of folders)
      for (const file of await this.#filesOf(commit, folder, (path) => paths.has(path)))
        found.set(file.path, file);
    return found;
  }

  /** The files directly in a folder of a commit; none if there is no such folder. */
  async filesIn(commit: string, folder: string): Promise<readonly RemoteFile[]> {
    try {
      return await this.#filesOf(commit, folder, () => true);
    } catch (error) {
      if (error instanceof RND1Error && error.code === 'not_found') return [];
      throw error;
    }
  }

  async #filesOf(commit: string, folder: string, isWanted: (path: string) => boolean): Promise<RemoteFile[]> {
    return this.#call(async () => {
      const found: RemoteFile[] = [];
      let entries = 0;
      for await (const entry of this.#list(commit, folder)) {
        if (++entries > entryLimit) throw this.#unusable(`more than ${entryLimit} files in one folder`);
        if (entry.type === 'file' && isWanted(entry.path)) found.push(this.#checked(entry));
      }
      return found;
    });
  }

  #list(commit: string, folder: string) {
    const { kind = 'model', repo, settings } = this.subject;
    return hubLibrary().listFiles({
      repo: { type: kind, name: repo },
      revision: commit,
      path: folder === '.' ? undefined : folder.split('/').map(encodeURIComponent).join('/'),
      hubUrl: settings.endpoint,
      fetch: apiFetch(this.subject, this.signal, pageLimit),
    });
  }

  /** Strict: the hash becomes a file name. */
  #checked(entry: {
    path: string;
    size: number;
    oid?: string;
    lfs?: { oid: string; size: number };
  }): RemoteFile {
    const bytes = entry.lfs?.size ?? entry.size;
    const hash = entry.lfs?.oid ?? entry.oid;
    const digits = entry.lfs ? 64 : 40;
    if (!Number.isSafeInteger(bytes) || bytes < 0)
      throw this.#unusable(`${entry.path} of ${quote(bytes)} bytes`);
    if (typeof hash !== 'string' || hash.length !== digits || !/^[0-9a-f]+$/.test(hash)) {
      throw this.#unusable(`${entry.path} with the hash ${quote(hash)}`);
    }
    return { path: entry.path, bytes, hash };
  }

  /** An error of the library itself means an answer that it does not understand: failures are `RND1Error` already. */
  async #call<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (error) {
      this.signal.throwIfAborted();
      if (error instanceof RND1Error) throw error;
      throw this.#unusable('something that is not a response of the hub API', error);
    }
  }

  #unusable(what: string, cause?: unknown): RND1Error {
    const message = `${nameOf(this.subject)}: ${this.subject.settings.endpoint} answers ${what}`;
    return new RND1Error('network', message, { cause });
  }
}
