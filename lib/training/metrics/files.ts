import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { ioError } from '../../checkpoint/files';
import { RND1Error } from '../../support/errors';

/** Far more than a line of metrics has, in bytes. */
const lineLimit = 16_000_000;

/** Errors of the file system become `io`, with the name of the file. */
export async function writing<T>(path: string, action: () => Promise<T>): Promise<T> {
  return action().catch((error: NodeJS.ErrnoException) => {
    if (typeof error.code !== 'string' || error.syscall === undefined) throw error;
    throw new RND1Error('io', `cannot write ${path}: ${error.message}`, { cause: error });
  });
}

/** A file that grows by whole records. */
export class AppendedFile {
  private constructor(
    readonly path: string,
    private readonly handle: FileHandle,
    /** Bytes of whole records. */
    private size: number,
  ) {}

  /**
   * Opens a file to append to. With `fresh`, it must not exist.
   *
   * @throws RND1Error `io`
   */
  static async open(path: string, { fresh }: { readonly fresh: boolean }): Promise<AppendedFile> {
    return writing(path, async () => {
      const handle = await open(path, fresh ? 'ax' : 'a');
      try {
        return new AppendedFile(path, handle, (await handle.stat()).size);
      } catch (error) {
        await handle.close();
        throw error;
      }
    });
  }

  /**
   * Appends a record, in one write unless the system takes only a part of it. What a failed one leaves is removed.
   *
   * @throws RND1Error `io`, for example when the disk is full
   */
  async append(record: Uint8Array): Promise<void> {
    try {
      let written = 0;
      while (written < record.length)
        written += (await this.handle.write(record, written, record.length - written)).bytesWritten;
      this.size += record.length;
    } catch (error) {
      await this.handle.truncate(this.size).catch(() => {});
      await writing(this.path, () => Promise.reject(error));
    }
  }

  /** Puts what was appended on the disk. */
  async sync(): Promise<void> {
    await writing(this.path, () => this.handle.sync());
  }

  async close(): Promise<void> {
    await writing(this.path, () => this.handle.close());
  }
}

/**
 * Lines of a text file in order, each with whether it ends with a newline: the last one may be torn.
 *
 * @throws RND1Error `io` if it cannot be read; `invalid_data` for lines that are too long to be metrics
 */
export async function* linesOf(
  path: string,
): AsyncGenerator<{ readonly text: string; readonly whole: boolean }, void, void> {
  let rest: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let start = 0;
      for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10, start)) {
        yield { text: rest.toString('utf8', start, end), whole: true };
        start = end + 1;
      }
      rest = rest.subarray(start);
      if (rest.length > lineLimit)
        throw new RND1Error('invalid_data', `${path} has a line of more than ${lineLimit} bytes`);
    }
  } catch (error) {
    throw error instanceof RND1Error ? error : ioError(path, error);
  }
  if (rest.length > 0) yield { text: rest.toString(), whole: false };
}

/** Writes a file under a temporary name, and renames it: it is whole at any time. */
export async function replaceFile(path: string, content: string): Promise<void> {
  const partial = `${path}.partial`;
  await writing(path, async () => {
    const handle = await open(partial, 'w');
    try {
      await handle.writeFile(content);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(partial, path);
  }).catch(async (error) => {
    await rm(partial, { force: true }).catch(() => {});
    throw error;
  });
}
