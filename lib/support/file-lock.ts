import { randomBytes } from 'node:crypto';
import { readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { RND1Error } from './errors';
import { hostId, isRunning } from './processes';

/** Owners update the mtime of their lock this often, in milliseconds… */
const heartbeat = 5_000;
/** …so that an older one has no owner: its process was killed, here or on another machine. */
const idleTime = 30_000;

const suffix = '.lock';

/**
 * The right to write a file or a folder, held as a file of its own. A process that was killed loses it: at once for
 * processes of the same machine, after half a minute for others.
 */
export class FileLock {
  readonly #timer: NodeJS.Timeout;
  #beat: Promise<void> = Promise.resolve();

  private constructor(private readonly path: string) {
    this.#timer = setInterval(() => {
      const now = new Date();
      this.#beat = utimes(path, now, now).catch(() => {});
    }, heartbeat);
    this.#timer.unref();
  }

  /**
   * @param lock path of the lock itself
   * @throws RND1Error `io` while another process holds it
   */
  static async take(path: string, lock = path + suffix): Promise<FileLock> {
    const mine = `${hostId} ${process.pid} ${randomBytes(8).toString('hex')}\n`;
    for (;;) {
      const error = await writeFile(lock, mine, { flag: 'wx' }).catch((error: Error) => error);
      if (error === undefined) {
        held.add(mine);
        return new FileLock(lock);
      }
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
        throw new RND1Error('io', `cannot write ${lock}: ${error.message}`, { cause: error });
      }
      await removeLeft(path, lock);
    }
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    await this.#beat;
    await rm(this.path, { force: true });
  }
}

/** Locks of this process: its id alone may be that of one which was killed. */
const held = new Set<string>();

/** Removes the lock of a process that is gone. */
async function removeLeft(path: string, lock: string): Promise<void> {
  const text = await readFile(lock, 'utf8').catch(() => null);
  const stats = await stat(lock).catch(() => null);
  if (text === null || stats === null) return;
  const [host, pid = ''] = text.split(' ');
  const gone = host === hostId && (Number(pid) === process.pid ? !held.has(text) : !isRunning(Number(pid)));
  if (!gone && Date.now() - stats.mtimeMs < idleTime) {
    const owner = host === hostId ? `process ${pid}` : `process ${pid} of another machine`;
    throw new RND1Error('io', `${path} is being written by ${owner}`);
  }
  // Only one process can rename it. It may have been replaced since it was read.
  const aside = `${lock}.${randomBytes(4).toString('hex')}`;
  const moved = await rename(lock, aside).then(
    () => true,
    () => false,
  );
  if (!moved) return;
  if ((await readFile(aside, 'utf8')) === text) await rm(aside, { force: true });
  else await rename(aside, lock);
}
