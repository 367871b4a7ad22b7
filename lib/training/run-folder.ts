import { mkdir, readdir, rm } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { readJsonObject, readText } from '../checkpoint/files';
import { RND1Error } from '../support/errors';
import { FileLock } from '../support/file-lock';
import { partialMark, replaceFile, writing } from '../support/write-files';

const optionsFile = 'run.json';
const latestFile = 'latest';
const lockFile = '.lock';
const checkpointName = /^checkpoint-(\d{1,15})$/;

/**
 * The folder of a run: its options (run.json), checkpoints, metrics, and the name of the newest checkpoint (`latest`),
 * which changes only once that is on disk.
 */
export class RunFolder {
  private constructor(
    readonly path: string,
    /** What run.json holds. */
    readonly options: Readonly<Record<string, unknown>>,
    private readonly lock: FileLock,
  ) {}

  /**
   * Starts a run in a new or empty folder.
   *
   * @throws RND1Error `io` if the folder holds anything, or cannot be written
   */
  static async create(folder: string, options: Readonly<Record<string, unknown>>): Promise<RunFolder> {
    const path = resolve(folder);
    await writing(path, async () => {
      await mkdir(path, { recursive: true });
      if ((await readdir(path)).some((name) => name !== lockFile))
        throw new RND1Error('io', `${folder} is not empty: name a new folder, or resume its run`);
    });
    const lock = await FileLock.take(path, join(path, lockFile));
    try {
      await replaceFile(join(path, optionsFile), `${JSON.stringify(options, null, 2)}\n`);
    } catch (error) {
      await lock.release();
      throw error;
    }
    return new RunFolder(path, options, lock);
  }

  /**
   * Opens the folder of a run that was interrupted, or that is over.
   *
   * @throws RND1Error `invalid_data` if it holds no run; `io` while another process writes it
   */
  static async open(folder: string): Promise<RunFolder> {
    const path = resolve(folder);
    const options = await readJsonObject(join(path, optionsFile));
    if (options === null)
      throw new RND1Error('invalid_data', `${folder} has no ${optionsFile}: it is not the folder of a run`);
    return new RunFolder(path, options, await FileLock.take(path, join(path, lockFile)));
  }

  /** Replaces run.json. */
  async setOptions(options: Readonly<Record<string, unknown>>): Promise<void> {
    await replaceFile(join(this.path, optionsFile), `${JSON.stringify(options, null, 2)}\n`);
  }

  /** Where the checkpoint after `step` steps belongs. */
  checkpoint(step: number): string {
    return join(this.path, `checkpoint-${step}`);
  }

  /**
   * The newest whole checkpoint; null before the first.
   *
   * @throws RND1Error `invalid_data` if `latest` names no checkpoint
   */
  async newest(): Promise<string | null> {
    const path = join(this.path, latestFile);
    const text = await readText(path);
    if (text === null) return null;
    const name = text.trim();
    if (!checkpointName.test(name))
      throw new RND1Error('invalid_data', `${path} does not name a checkpoint of its folder`);
    return join(this.path, name);
  }

  /** Makes a checkpoint that is on disk the newest one, and removes the oldest ones beyond `limit`. */
  async publish(checkpoint: string, limit: number): Promise<void> {
    await replaceFile(join(this.path, latestFile), `${basename(checkpoint)}\n`);
    const steps = (await this.#names())
      .flatMap((name) => checkpointName.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
    for (const step of steps.slice(0, Math.max(0, steps.length - limit)))
      await rm(this.checkpoint(step), { recursive: true, force: true });
  }

  /** Removes what an interrupted save has left, and checkpoints newer than the newest whole one. */
  async tidy(newest: string | null): Promise<void> {
    const kept = newest === null ? -1 : Number(checkpointName.exec(basename(newest))?.[1]);
    for (const name of await this.#names()) {
      const step = checkpointName.exec(name)?.[1];
      if (name.includes(partialMark) || (step !== undefined && Number(step) > kept))
        await rm(join(this.path, name), { recursive: true, force: true });
    }
  }

  /** Lets others write the folder. */
  async close(): Promise<void> {
    await this.lock.release();
  }

  async #names(): Promise<string[]> {
    return writing(this.path, () => readdir(this.path));
  }
}
