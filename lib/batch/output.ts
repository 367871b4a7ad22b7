import { createHash } from 'node:crypto';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { RND1Error } from '../support/errors';
import { parseLine, readLines } from './json-lines';
import type { LineIndex } from './line-index';
import { readWritten } from './outcome';

/** Bytes that may wait to be written. */
const waitingLimit = 2 ** 20;

/** The state of an output that an earlier run left. */
export interface Resumed {
  /** Bytes of its whole lines; what follows is the start of a line. */
  readonly bytes: number;
  /** Its lines that hold errors. */
  readonly failed: number;
}

/**
 * Reads what an earlier run wrote and marks these lines as done.
 *
 * @param ordered whether the output must have the order of the input
 * @throws RND1Error `io` for a file that is not an output of this input
 */
export async function resumeOutput(
  path: string,
  index: LineIndex,
  ordered: boolean,
  signal?: AbortSignal,
): Promise<Resumed> {
  const stats = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw new RND1Error('io', `cannot read ${path}: ${error.message}`, { cause: error });
  });
  if (stats === null) return { bytes: 0, failed: 0 };
  if (!stats.isFile()) throw new RND1Error('io', `${path} is not a regular file`);
  let bytes = 0;
  let failed = 0;
  for await (const line of readLines(path, signal)) {
    // The start of a line that was being written.
    if (!line.complete) break;
    const written = readWritten(parseLine(line.bytes));
    const refuse = (problem: string) =>
      new RND1Error('io', `${path}, line ${line.number}: ${problem}; choose another output, or remove it`);
    if (written === null) throw refuse('not a line that a batch has written');
    const ordinal = index.find(keyOf(written.customId));
    if (ordinal === null) throw refuse('its custom_id is not in the input');
    if (!index.hasId(ordinal, written.id)) {
      throw refuse(`line ${index.lineOf(ordinal)} of the input has changed since it was answered`);
    }
    if (index.isDone(ordinal)) throw refuse('its custom_id was there before');
    if (ordered && ordinal !== index.doneCount) {
      throw refuse('the lines are not in the order of the input: it was written with --unordered');
    }
    index.markDone(ordinal);
    bytes = line.end;
    if (!written.succeeded) failed++;
  }
  return { bytes, failed };
}

const keyOf = (customId: string) => createHash('sha256').update(JSON.stringify(customId)).digest();

/** Appends lines to an output. Each write holds whole lines, as many as have come meanwhile. */
export class OutputFile {
  #waiting: string[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | null = null;
  #failure: { readonly error: unknown } | null = null;

  private constructor(
    private readonly path: string,
    private readonly handle: FileHandle,
    private position: number,
  ) {}

  /** Opens or creates a file and cuts it off after `bytes`. */
  static async open(path: string, bytes: number): Promise<OutputFile> {
    const fail = cannotWrite(path);
    const handle = await open(path, bytes === 0 ? 'w' : 'r+').catch(fail);
    try {
      await handle.truncate(bytes);
      return new OutputFile(path, handle, bytes);
    } catch (error) {
      await handle.close();
      return fail(error);
    }
  }

  /** Resolves when there is room for more. A failure is raised by the write itself, a later one or `close`. */
  async write(line: string): Promise<void> {
    this.#check();
    this.#waiting.push(line);
    this.#waitingBytes += line.length;
    this.#writing ??= this.#writeAll().catch((error: unknown) => {
      this.#failure = { error };
    });
    if (this.#waitingBytes > waitingLimit) await this.#writing;
    this.#check();
  }

  /** Writes what is left and brings it to the disk. */
  async close(): Promise<void> {
    try {
      await this.#writing;
      this.#check();
      await this.handle.datasync().catch(cannotWrite(this.path));
    } finally {
      await this.handle.close();
    }
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const bytes = Buffer.from(this.#waiting.join(''));
      this.#waiting = [];
      this.#waitingBytes = 0;
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await this.handle
          .write(bytes, done, bytes.length - done, this.position)
          .catch(cannotWrite(this.path));
        done += bytesWritten;
        this.position += bytesWritten;
      }
    }
    this.#writing = null;
  }
}

const cannotWrite = (path: string) => (error: unknown) => {
  throw new RND1Error('io', `cannot write ${path}: ${(error as Error).message}`, { cause: error });
};
