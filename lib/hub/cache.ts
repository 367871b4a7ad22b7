import { randomBytes } from 'node:crypto';
import { copyFile, link, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { fileSize } from '../checkpoint/files';
import { hubLibrary } from './library';
import { partialBytes } from './partial-file';
import type { RemoteFile } from './remote';
import { isCommit, type Repository, type RepositoryKind } from './repository';
import { isComplete } from './wanted-files';

/**
 * One model or data set in the cache that all Hugging Face libraries share:
 *
 * ```
 * models--org--name/            datasets--org--name
 *   blobs/HASH                  file contents, named by the hash that the hub lists
 *   refs/main                   the commit that a branch or tag points to
 *   snapshots/COMMIT/FILE       links to blobs
 * ```
 */
export class CachedRepository {
  readonly folder: string;

  constructor(cacheDir: string, repo: Repository, kind: RepositoryKind = 'model') {
    this.folder = join(cacheDir, hubLibrary().getRepoFolderName({ type: kind, name: repo }));
  }

  /** Creates the folder of the blobs. */
  async prepare(): Promise<void> {
    await mkdir(join(this.folder, 'blobs'), { recursive: true });
  }

  /** The path of a file's blob. */
  blob({ hash }: RemoteFile): string {
    return join(this.folder, 'blobs', hash);
  }

  /** The folder of a commit's files. */
  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit);
  }

  /** The commit that a revision was when its files were last fetched, or null. */
  async commit(revision: string): Promise<string | null> {
    return isCommit(revision) ? revision : await this.#readRef(revision);
  }

  /** The snapshot folder of a revision if it has all that a model needs, else null. */
  async complete(revision: string): Promise<string | null> {
    const commit = await this.commit(revision);
    if (commit === null) return null;
    const snapshot = this.snapshot(commit);
    return (await isComplete(snapshot)) ? snapshot : null;
  }

  /** Whether a file is cached, judged by its size: as a blob, or as a copy where links are not possible. */
  async has(file: RemoteFile, commit: string): Promise<boolean> {
    const isWhole = async (path: string) => (await fileSize(path)) === file.bytes;
    return (await isWhole(this.blob(file))) || (await isWhole(join(this.snapshot(commit), file.path)));
  }

  /** Cached bytes of a file, including those of unfinished downloads. */
  async bytesOf(file: RemoteFile, commit: string): Promise<number> {
    if (await this.has(file, commit)) return file.bytes;
    return Math.min(file.bytes, await partialBytes(this.blob(file)));
  }

  /** Records the commit of a revision. */
  async writeRef(revision: string, commit: string): Promise<void> {
    if (isCommit(revision) || (await this.#readRef(revision)) === commit) return;
    const path = this.#ref(revision);
    await mkdir(dirname(path), { recursive: true });
    await replace(path, (temporary) => writeFile(temporary, commit));
  }

  /** Links a complete blob into a snapshot. */
  async link(file: RemoteFile, commit: string): Promise<void> {
    const path = join(this.snapshot(commit), file.path);
    const blob = this.blob(file);
    // A commit never changes: an existing file is right unless truncated.
    if ((await fileSize(path)) === file.bytes) return;
    await mkdir(dirname(path), { recursive: true });
    await replace(path, async (temporary) => {
      await symlink(relative(dirname(path), blob), temporary)
        // Windows does not let everyone make symbolic links, and not every file system has hard ones.
        .catch(() => link(blob, temporary))
        .catch(() => copyFile(blob, temporary));
    });
  }

  #ref(revision: string): string {
    return join(this.folder, 'refs', revision);
  }

  async #readRef(revision: string): Promise<string | null> {
    const text = await readFile(this.#ref(revision), 'utf8').catch(() => '');
    return isCommit(text.trim()) ? text.trim() : null;
  }
}

/** Makes a temporary file and renames it, so that nobody sees it half written. */
async function replace(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    await make(temporary);
    await rename(temporary, path);
  } finally {
    await rm(temporary, { force: true });
  }
}
