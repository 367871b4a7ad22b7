import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileSize, readExactly, readText, withFile } from '../checkpoint/files';
import { RND1Error } from '../support/errors';
import type { ShardLayout } from './layout';

/** Exists while the conversion in the folder is incomplete. */
const stateFile = 'rnd1-quantize.json';
/** Part of the names of temporary files. */
const partial = '.partial-';

/**
 * The output folder of a conversion. Every file has a temporary name until it is completely on the disk. config.json,
 * which loading requires, is written last. A second run resumes an interrupted one.
 */
export class OutputFolder {
  private constructor(
    readonly path: string,
    /** Description of the conversion as JSON; a run resumes only a conversion with the same one. */
    private readonly state: string,
  ) {}

  /**
   * Inspects a folder without changing it. Throws `io` unless it is new, empty or an unfinished run of this conversion.
   *
   * @param conversion description of the conversion; equal ones resume each other
   */
  static async examine(path: string, conversion: Record<string, unknown>): Promise<OutputFolder> {
    const state = `${JSON.stringify(conversion, null, 2)}\n`;
    const found = await readdir(path).catch((error: NodeJS.ErrnoException): string[] => {
      if (error.code === 'ENOENT') return [];
      throw writeError(path, error);
    });
    const folder = new OutputFolder(path, state);
    // The earlier run was interrupted before the state file existed: there is nothing to resume and nothing to lose.
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

  /** Creates the folder, marks it as unfinished and deletes temporary files of an interrupted run. */
  async begin(): Promise<void> {
    await mkdir(this.path, { recursive: true }).catch((error) => {
      throw writeError(this.path, error);
    });
    for (const name of await readdir(this.path)) {
      if (name.includes(partial)) await rm(join(this.path, name), { force: true });
    }
    await this.write(stateFile, this.state);
  }

  /** Whether an earlier run has written this shard: a file has its final name only once it is complete. */
  async has({ name, header, bytes }: ShardLayout): Promise<boolean> {
    const path = join(this.path, name);
    if ((await fileSize(path)) !== bytes) return false;
    const start = await withFile(path, (handle) => readExactly(handle, path, 0, header.length));
    return header.equals(start);
  }

  /** Writes a file under a temporary name, then renames it. `fill` gets the temporary path and must sync its data. */
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

  /** Marks the checkpoint as complete. */
  async finish(): Promise<void> {
    await this.#attempt(this.path, () => rm(join(this.path, stateFile)));
    await this.#synchronize();
  }

  /** Syncs the folder, so that the names of files are on the disk. */
  async #synchronize(): Promise<void> {
    await this.#attempt(this.path, () => withHandle(this.path, 'r', (handle) => handle.sync()));
  }

  async #attempt(path: string, action: () => Promise<void>): Promise<void> {
    await action().catch((error) => {
      throw writeError(path, error);
    });
  }
}

/** Throws `io` if the disk has less than `bytes` free. */
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
      throw new RND1Error('io', `${folder} needs ${bytes} bytes, but its disk has ${free} left`);
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
