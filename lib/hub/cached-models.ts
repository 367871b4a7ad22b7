import type { Stats } from 'node:fs';
import { lstat, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import { ioError } from '../checkpoint/files';
import { RND1Error } from '../support/errors';
import { optionsObject, quote, stringOption } from '../support/validate';
import { isBeingWritten, isPartial } from './partial-file';
import { isCommit } from './repository';
import { hubSettings } from './settings';
import { isComplete } from './wanted-files';

/** A model in the cache that all Hugging Face libraries share. */
export interface CachedModel {
  /** Its name on the hub. */
  readonly name: string;
  /** Its folder in the cache. */
  readonly folder: string;
  /** Bytes on disk, unfinished downloads included. */
  readonly bytes: number;
  /** Bytes of unfinished downloads. */
  readonly partialBytes: number;
  /** Its commits, sorted. */
  readonly snapshots: readonly CachedSnapshot[];
  /** Why its folder cannot be read, which then counts as empty; null if it can. */
  readonly problem: string | null;
}

/** One commit of a cached model. */
export interface CachedSnapshot {
  /** The hash of the commit. */
  readonly commit: string;
  /** Branches and tags that pointed to it when they were last fetched, sorted. */
  readonly revisions: readonly string[];
  /** Folder of its files, for `DiffusionLM.load`. */
  readonly folder: string;
  /** Whether it has a configuration and all weights. */
  readonly complete: boolean;
}

/** Where the cache is. */
export interface CacheOptions {
  /** The cache folder. @default HF_HUB_CACHE, else `hub` in HF_HOME, else ~/.cache/huggingface/hub */
  readonly cacheDir?: string;
}

const prefix = 'models--';

/**
 * The models in the cache, by name, whichever library fetched them.
 *
 * @throws RND1Error `io` if the cache cannot be read; TypeError for invalid options
 */
export async function cachedModels(options?: CacheOptions): Promise<CachedModel[]> {
  const cacheDir = await cacheFolder(options);
  const entries = await foldersIn(cacheDir);
  const names = entries.filter((name) => name.startsWith(prefix)).sort();
  return Promise.all(names.map((name) => describe(join(cacheDir, name), name)));
}

/**
 * Deletes a model from the cache, with its unfinished downloads.
 *
 * @param name its name, as in `cachedModels`
 * @returns the bytes that were freed
 * @throws RND1Error `not_found` if the cache does not have it; `io` if it is being downloaded, if another model or a
 *   link depends on its files, or if a file cannot be deleted; TypeError for invalid arguments
 */
export async function removeCachedModel(name: string, options?: CacheOptions): Promise<number> {
  stringOption('name', name);
  const cacheDir = await cacheFolder(options);
  // Only names that are there: no path is made of the argument.
  const models = await cachedModels({ cacheDir });
  const model = models.find((each) => each.name === name);
  if (model === undefined) {
    throw new RND1Error('not_found', `${quote(name)} is not in the cache at ${cacheDir}`);
  }
  const { folder, bytes } = model;
  if ((await lstat(folder)).isSymbolicLink()) {
    throw new RND1Error(
      'io',
      `${folder} is a link to ${await readlink(folder)}: delete that folder yourself`,
    );
  }
  if (await isBeingWritten(join(folder, 'blobs'))) {
    throw new RND1Error('io', `${name} is being downloaded: stop that first`);
  }
  for (const other of models) {
    if (other !== model && other.problem === null && (await linksInto(other.folder, folder))) {
      throw new RND1Error('io', `${other.name} uses files of ${name}: remove it first`);
    }
  }
  try {
    // In this order a removal that is interrupted leaves a model that is not complete.
    for (const part of ['refs', 'snapshots', '.']) {
      await rm(join(folder, part), { recursive: true, force: true });
    }
    const locks = join(cacheDir, '.locks', folder.slice(cacheDir.length + 1));
    await rm(locks, { recursive: true, force: true });
  } catch (error) {
    const { message } = error as Error;
    throw new RND1Error('io', `cannot delete ${folder}: ${message}`, { cause: error });
  }
  return bytes;
}

/** The folder of the cache; it need not exist. */
export async function cacheFolder(options?: CacheOptions): Promise<string> {
  const { cacheDir } = optionsObject('options', options, { cacheDir: true });
  return (await hubSettings({ cacheDir, offline: true, token: null })).cacheDir;
}

/** Other models are no worse for one whose folder cannot be read. */
async function describe(folder: string, directory: string): Promise<CachedModel> {
  const name = directory.slice(prefix.length).replace('--', '/');
  try {
    return { name, folder, ...(await contentsOf(folder)), problem: null };
  } catch (error) {
    if (!(error instanceof RND1Error)) throw error;
    return { name, folder, bytes: 0, partialBytes: 0, snapshots: [], problem: error.message };
  }
}

async function contentsOf(
  folder: string,
): Promise<Pick<CachedModel, 'bytes' | 'partialBytes' | 'snapshots'>> {
  const refs = await readRefs(join(folder, 'refs'), '');
  const commits = (await foldersIn(join(folder, 'snapshots'))).filter(isCommit).sort();
  const snapshots = await Promise.all(
    commits.map(async (commit): Promise<CachedSnapshot> => {
      const place = join(folder, 'snapshots', commit);
      const revisions = refs.filter((ref) => ref.commit === commit).map((ref) => ref.name);
      // A broken index or link means that something is missing.
      const complete = await isComplete(place).catch(() => false);
      return { commit, revisions: revisions.sort(), folder: place, complete };
    }),
  );
  const files = await filesBelow(folder);
  const sum = (list: readonly StoredFile[]) => list.reduce((total, { bytes }) => total + bytes, 0);
  return {
    bytes: sum(files),
    partialBytes: sum(files.filter(({ path }) => isPartial(path))),
    snapshots,
  };
}

/** Branches and tags, whose names may have slashes, and their commits. */
async function readRefs(
  folder: string,
  start: string,
): Promise<{ readonly name: string; readonly commit: string }[]> {
  const entries = await entriesOf(folder);
  const refs = await Promise.all(
    entries.map(async (entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return readRefs(path, `${start}${entry.name}/`);
      // Reading a pipe would wait for ever.
      if (!entry.isFile()) return [];
      const commit = (await readFile(path, 'utf8').catch(() => '')).trim();
      return isCommit(commit) ? [{ name: start + entry.name, commit }] : [];
    }),
  );
  return refs.flat();
}

interface StoredFile {
  readonly path: string;
  readonly bytes: number;
}

/** The regular files in a folder, each once, however many hard links it has; links are not followed. */
async function filesBelow(folder: string): Promise<StoredFile[]> {
  const files = new Map<string, StoredFile>();
  const visit = async (place: string): Promise<void> => {
    for (const entry of await entriesOf(place)) {
      const path = join(place, entry.name);
      if (entry.isDirectory()) await visit(path);
      else if (entry.isFile()) {
        const stats: Stats | null = await lstat(path).catch(() => null);
        if (stats !== null) files.set(`${stats.dev}:${stats.ino}`, { path, bytes: stats.size });
      }
    }
  };
  await visit(folder);
  return [...files.values()];
}

/** Whether a link in a model's snapshots leads into another folder. */
async function linksInto(folder: string, target: string): Promise<boolean> {
  const visit = async (place: string): Promise<boolean> => {
    for (const entry of await entriesOf(place)) {
      const path = join(place, entry.name);
      if (entry.isDirectory() && (await visit(path))) return true;
      if (!entry.isSymbolicLink()) continue;
      const link = await readlink(path).catch(() => '');
      if (resolve(place, link).startsWith(target + sep)) return true;
    }
    return false;
  };
  return visit(folder);
}

/** Entries of a folder; none if there is no such folder. */
async function entriesOf(folder: string) {
  return readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw ioError(folder, error);
  });
}

/** Names of folders, and of links, which may lead to folders. */
async function foldersIn(folder: string): Promise<string[]> {
  const entries = await entriesOf(folder);
  return entries.filter((each) => each.isDirectory() || each.isSymbolicLink()).map(({ name }) => name);
}
