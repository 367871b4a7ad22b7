import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileSize, readExactly, readText, withFile } from '../checkpoint/files';
import { RND1Error } from '../errors';
import type { ShardLayout } from './layout';

/** While it is there, the folder is a conversion that has not come to its end. */
const stateFile = 'rnd1-quantize.json';
/** In the names of files that are being written. */
const partial = '.partial-';

/**
 * A folder that becomes a checkpoint. Every file has another name until all of it is on the disk, and config.json, without
 * which nothing loads, comes last; whatever was interrupted, a second run takes up where the first one stopped.
 */
export class OutputFolder {
  private constructor(
    readonly path: string,
    /** What is being made, in so many words: conversions of different ones do not mix. */
    private readonly state: string,
  ) {}

  /**
   * Looks at a folder without touching it. Throws `io` when it holds anything but an unfinished conversion of the same.
   *
   * @param conversion what is being made: the same for every run that may be resumed
   */
  static async examine(path: string, conversion: Record<string, unknown>): Promise<OutputFolder> {
    const state = `${JSON.stringify(conversion, null, 2)}\n`;
    const found = await readdir(path).catch((error: NodeJS.ErrnoException): string[] => {
      if (error.code === 'ENOENT') return [];
      throw writeError(path, error);
    });
    const folder = new OutputFolder(path, state);
    // Interrupted before the very first file had its name, there is nothing to resume and nothing to lose.
    if (found.every((name) => name.startsWith(`${stateFile}${partial}`))) return folder;
    if (!found.includes(stateFile)) {
      throw new RND1Error('io', `${path} is not empty: name a new folder`);
    }
    if ((await readText(join(path, stateFile))) !== state) {
      throw new RND1Error(
        'io',
        `${path} holds an unfinished conversion of another checkpoint, or with other options: remove it, or name a new folder`,
      );
    }
    return folder;
  }

  /** Makes the folder, marks it as unfinished and clears away what an interrupted run has left. */
  async begin(): Promise<void> {
    await mkdir(this.path, { recursive: true }).catch((error) => {
      throw writeError(this.path, error);
    });
    for (const name of await readdir(this.path)) {
      if (name.includes(partial)) await rm(join(this.path, name), { force: true });
    }
    await this.write(stateFile, this.state);
  }

  /** Whether a shard is there from an earlier run: it has its name only when all of it was on the disk. */
  async has({ name, header, bytes }: ShardLayout): Promise<boolean> {
    const path = join(this.path, name);
    if ((await fileSize(path)) !== bytes) return false;
    const start = await withFile(path, (handle) => readExactly(handle, path, 0, header.length));
    return header.equals(start);
  }

  /** Writes a file by another name, then gives it its own. `fill` gets its path and must leave it on the disk. */
  async write(
    name: string,
    content: string | Uint8Array,
    fill?: (path: string) => Promise<void>,
  ): Promise<void> {
    const path = join(this.path, name);
    const temporary = `${path}${partial}${randomUUID().slice(0, 8)}`;
    try {
      await this.#attempt(path, async () => {
        await withHandle(temporary, 'wx', async (handle) => {
          await handle.writeFile(content);
          await handle.sync();
        });
      });
      await fill?.(temporary);
      await this.#attempt(path, () => rename(temporary, path));
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await this.#synchronize();
  }

  /** The checkpoint is complete. */
  async finish(): Promise<void> {
    await this.#attempt(this.path, () => rm(join(this.path, stateFile)));
    await this.#synchronize();
  }

  /** Names are on the disk. */
  async #synchronize(): Promise<void> {
    await this.#attempt(this.path, () => withHandle(this.path, 'r', (handle) => handle.sync()));
  }

  async #attempt(path: string, action: () => Promise<void>): Promise<void> {
    await action().catch((error) => {
      throw writeError(path, error);
    });
  }
}

/** Throws `io` when the disk has no room for so many bytes more. */
export async function checkRoom(folder: string, bytes: number): Promise<void> {
  let place = resolve(folder);
  for (;;) {
    const disk = await statfs(place).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' && dirname(place) !== place) return null;
      throw writeError(place, error);
    });
    if (disk !== null) {
      const free = disk.bavail * disk.bsize;
      if (free >= bytes) return;
      throw new RND1Error('io', `${folder} needs ${bytes} bytes, and its disk has ${free} left`);
    }
    place = dirname(place);
  }
}

function writeError(path: string, error: unknown): RND1Error {
  const reason = error instanceof Error ? error.message : String(error);
  return new RND1Error('io', `cannot write ${path}: ${reason}`, { cause: error });
}

async function withHandle(
  path: string,
  flags: string,
  use: (handle: FileHandle) => Promise<void>,
): Promise<void> {
  const handle = await open(path, flags);
  try {
    await use(handle);
  } finally {
    await handle.close();
  }
}
