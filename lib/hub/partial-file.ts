import { type Hash, randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hostId, isRunning } from '../support/processes';
import { digestStart, startDigest } from './digest';
import type { RemoteFile } from './remote';

// A partial blob has one of two names. At rest it is `HASH.incomplete`, which Python's huggingface_hub resumes, too. To
// write it, a download renames it, which only one can do, to a name that identifies the owner:
// `HASH.HOST-PID-RANDOM.incomplete`. If that process was killed, its id shows that it is gone, and another download
// takes the file over. So no two downloads ever write the same file.

/** Owners update the mtime of their files this often, in milliseconds… */
const heartbeat = 5_000;
/** …so that a file with an mtime older than this has no writer. */
const idleTime = 60_000;
/** Milliseconds between two checks of another owner's file. */
const lookPause = 200;

const suffix = '.incomplete';

/** A partial blob, of which this object is the only writer, and the running hash of its bytes. */
export class PartialFile {
  #digest: Hash;
  #size = 0;
  readonly #timer: NodeJS.Timeout;
  #beat: Promise<void> = Promise.resolve();

  private constructor(
    private readonly blob: string,
    private readonly path: string,
    private readonly handle: FileHandle,
    private readonly file: RemoteFile,
  ) {
    this.#digest = startDigest(file);
    this.#timer = setInterval(() => {
      this.#beat = touch(path);
    }, heartbeat);
    this.#timer.unref();
  }

  /**
   * Takes ownership of a partial blob, or creates it. While another owner writes it, waits and reports its size to
   * `onWait`; returns null once the blob is complete.
   */
  static async claim(
    blob: string,
    file: RemoteFile,
    signal: AbortSignal,
    onWait: (bytes: number) => void,
  ): Promise<PartialFile | null> {
    for (;;) {
      signal.throwIfAborted();
      if ((await sizeOf(blob)) === file.bytes) return null;
      const mine = `${blob}.${hostId}-${process.pid}-${randomBytes(4).toString('hex')}${suffix}`;
      const others = await partsOf(blob);
      const busy = others.filter(({ state }) => state === 'busy');
      if (busy.length === 0) {
        await take(others, mine);
        if (!(await givesWay(blob, mine))) return PartialFile.#open(blob, mine, file, signal);
      }
      onWait(Math.max(0, ...busy.map(({ bytes }) => Math.min(bytes, file.bytes))));
      await sleep(lookPause, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }

  static async #open(
    blob: string,
    path: string,
    file: RemoteFile,
    signal: AbortSignal,
  ): Promise<PartialFile> {
    const handle = await open(path, 'r+');
    const partial = new PartialFile(blob, path, handle, file);
    try {
      const { size } = await handle.stat();
      if (size > file.bytes) await handle.truncate(0);
      else {
        await digestStart(partial.#digest, handle, size, signal);
        partial.#size = size;
      }
      return partial;
    } catch (error) {
      await partial.release();
      throw error;
    }
  }

  /** Bytes in the file. */
  get size(): number {
    return this.#size;
  }

  /** Adds bytes at the end. */
  async append(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.handle.write(bytes, done, bytes.length - done, this.#size + done);
      done += bytesWritten;
    }
    this.#digest.update(bytes);
    this.#size += bytes.length;
  }

  /** Discards all bytes. */
  async restart(): Promise<void> {
    await this.handle.truncate(0);
    this.#digest = startDigest(this.file);
    this.#size = 0;
  }

  /** The hash of all bytes; can be called once. */
  hash(): string {
    return this.#digest.digest('hex');
  }

  /** Syncs the complete file, then gives it its final name: in the other order, a crash could leave a broken blob. */
  async finish(): Promise<void> {
    await this.handle.datasync();
    await this.#close();
    await rename(this.path, this.blob).catch(async (error: unknown) => {
      // Some systems cannot replace a mapped blob; a complete one need not be replaced.
      if ((await sizeOf(this.blob)) !== this.file.bytes) throw error;
      await rm(this.path, { force: true });
    });
    const left = (await partsOf(this.blob)).filter(({ state }) => state !== 'busy');
    for (const { path } of left) await rm(path, { force: true });
  }

  /** Leaves the bytes for the next download. */
  async release(): Promise<void> {
    await this.#close();
    await putToRest(this.blob, this.path);
  }

  async #close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#beat;
    await this.handle.close();
  }
}

/** Bytes of the largest partial file of a blob. */
export async function partialBytes(blob: string): Promise<number> {
  return (await partsOf(blob))[0]?.bytes ?? 0;
}

/** Whether a file is an unfinished download. */
export const isPartial = (path: string): boolean => path.endsWith(suffix);

/** Whether a download into a folder of blobs is running. */
export async function isBeingWritten(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch(() => []);
  const blobs = new Set(names.filter(isPartial).map((name) => name.slice(0, name.indexOf('.'))));
  for (const blob of blobs) {
    const parts = await partsOf(join(folder, blob));
    if (parts.some(({ state }) => state === 'busy')) return true;
  }
  return false;
}

interface Part {
  readonly path: string;
  readonly bytes: number;
  /** Being written; without an owner; or not written for long by its owner. */
  readonly state: 'busy' | 'free' | 'silent';
}

/** All partial files of a blob, largest first. */
async function partsOf(blob: string): Promise<Part[]> {
  const folder = dirname(blob);
  const start = `${basename(blob)}.`;
  const names = (await readdir(folder)).filter((name) => name.startsWith(start) && name.endsWith(suffix));
  const parts = await Promise.all(
    names.map(async (name) => {
      const path = join(folder, name);
      const stats = await stat(path).catch(() => null);
      const owner = name.slice(start.length, -suffix.length);
      return stats && { path, bytes: stats.size, state: stateOf(owner, Date.now() - stats.mtimeMs) };
    }),
  );
  return parts
    .filter((part) => part !== null)
    .sort((a, b) => b.bytes - a.bytes || (a.path < b.path ? -1 : 1));
}

function stateOf(owner: string, idle: number): Part['state'] {
  const [, ownersHost, pid] = /^([0-9a-f]{8})-(\d+)-/.exec(owner) ?? [];
  if (ownersHost === hostId && !isRunning(Number(pid))) return 'free';
  if (idle < idleTime) return 'busy';
  return ownersHost === undefined ? 'free' : 'silent';
}

/** Makes the file at `mine`: the largest part without an owner, or an empty file. */
async function take(parts: readonly Part[], mine: string): Promise<void> {
  for (const { path, state } of parts) {
    if (state !== 'free') continue;
    // Before the rename: the new name must never have an old mtime.
    await touch(path);
    if (await moved(path, mine)) return;
  }
  await (await open(mine, 'wx')).close();
  // The clock of a file server may differ.
  await touch(mine);
}

/** Releases `mine` if another owner took a larger part at the same time; returns whether. */
async function givesWay(blob: string, mine: string): Promise<boolean> {
  const parts = await partsOf(blob);
  const ahead = parts.slice(
    0,
    parts.findIndex(({ path }) => path === mine),
  );
  if (!ahead.some(({ state }) => state === 'busy')) return false;
  await putToRest(blob, mine);
  return true;
}

/** Renames a part to `HASH.incomplete`; deletes it if empty or smaller than that file. */
async function putToRest(blob: string, path: string): Promise<void> {
  const resting = blob + suffix;
  const bytes = (await sizeOf(path)) ?? 0;
  if (bytes === 0 || bytes < ((await sizeOf(resting)) ?? 0)) {
    await rm(path, { force: true });
    return;
  }
  // Backdate the mtime so that others treat the file as abandoned.
  await touch(path, Date.now() - 2 * idleTime);
  await moved(path, resting);
}

async function touch(path: string, time = Date.now()): Promise<void> {
  await utimes(path, new Date(time), new Date(time)).catch(() => {});
}

async function moved(from: string, to: string): Promise<boolean> {
  try {
    await rename(from, to);
    return true;
  } catch (error) {
    // Another download was first.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

async function sizeOf(path: string): Promise<number | null> {
  return (await stat(path).catch(() => null))?.size ?? null;
}
