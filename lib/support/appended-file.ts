import { type FileHandle, open } from 'node:fs/promises';
import { readLines } from './json-lines';
import { writing } from './write-files';

/** Far more than a record has, in bytes. */
const lineLimit = 16_000_000;

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
 * Lines of a file of records in order, each with whether it ends with a newline: the last one may be torn.
 *
 * @throws RND1Error `io` if it cannot be read; `invalid_data` for lines that are too long to be records
 */
export async function* linesOf(
  path: string,
): AsyncGenerator<{ readonly text: string; readonly whole: boolean }, void, void> {
  for await (const { bytes, complete } of readLines(path, { maxBytes: lineLimit }))
    yield { text: bytes.toString(), whole: complete };
}
