import { type FileHandle, rm } from 'node:fs/promises';
import type { BatchFolder, NewFile } from './folder';
import type { FileRecord } from './records';

/** Why a file is not taken. */
export class UploadRefused extends Error {
  override readonly name = 'UploadRefused';

  constructor(
    readonly reason: 'too_large' | 'no_room',
    message: string,
  ) {
    super(message);
  }
}

/** A file that is being received. Its bytes count as its owner's from the first one on. */
export class Upload {
  #bytes = 0;
  #open = true;
  #finished = false;

  constructor(
    private readonly folder: BatchFolder,
    private readonly owner: string,
    private readonly path: string,
    private readonly handle: FileHandle,
  ) {}

  /** @throws UploadRefused beyond a limit */
  async write(chunk: Uint8Array): Promise<void> {
    const { maxFileBytes } = this.folder.limits;
    if (this.#bytes + chunk.length > maxFileBytes) {
      throw new UploadRefused('too_large', `the file is larger than ${maxFileBytes} bytes`);
    }
    if (!this.folder.hasRoom(this.owner, chunk.length)) {
      throw new UploadRefused('no_room', 'there is no room for more files: remove some');
    }
    this.folder.count(this.owner, chunk.length);
    this.#bytes += chunk.length;
    for (let done = 0; done < chunk.length; ) {
      done += (await this.handle.write(chunk, done)).bytesWritten;
    }
  }

  /** Makes it a file of the folder. */
  async finish(file: Omit<NewFile, 'owner'>): Promise<FileRecord> {
    await this.handle.datasync();
    await this.#close();
    const record = await this.folder.adopt(
      this.path,
      this.#bytes,
      { ...file, owner: this.owner },
      this.#bytes,
    );
    this.#finished = true;
    return record;
  }

  /** Removes it, unless it is finished. */
  async discard(): Promise<void> {
    if (this.#finished) return;
    await this.#close();
    this.folder.count(this.owner, -this.#bytes);
    await rm(this.path, { force: true });
  }

  async #close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.handle.close();
  }
}
