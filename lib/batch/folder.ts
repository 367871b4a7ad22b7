import { mkdir, open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { RND1Error } from '../support/errors';
import { FileLock } from '../support/file-lock';
import { RecordFiles } from './record-files';
import { type BatchRecord, type FileRecord, finalStates } from './records';
import { Upload } from './upload';

export interface FolderLimits {
  /** Bytes of an uploaded file. */
  readonly maxFileBytes: number;
  /** Bytes of all files of one owner. */
  readonly maxBytesPerOwner: number;
  /** Bytes of all files. */
  readonly maxBytes: number;
  /** Seconds for which files and finished batches are kept. */
  readonly keep: number;
}

/** What a record counts at least, in bytes: many small ones take memory. */
const leastBytes = 2 ** 16;

export const secondsNow = () => Math.floor(Date.now() / 1000);

/** What is needed to know that a file may be added. */
export type NewFile = Pick<FileRecord, 'owner' | 'filename' | 'purpose'> & {
  /** Seconds until it is removed; null: as long as all files. */
  readonly keep: number | null;
};

/** The files and batches of a server, in a folder of which this object is the only writer. */
export class BatchFolder {
  readonly #used = new Map<string, number>();
  #total = 0;

  private constructor(
    readonly limits: FolderLimits,
    private readonly lock: FileLock,
    readonly files: RecordFiles<FileRecord>,
    readonly batches: RecordFiles<BatchRecord>,
  ) {
    for (const { owner, bytes } of files.all) this.count(owner, Math.max(leastBytes, bytes));
    for (const { owner } of batches.all) this.count(owner, leastBytes);
  }

  /** @throws RND1Error `io`, also while another process uses the folder */
  static async open(path: string, limits: FolderLimits): Promise<BatchFolder> {
    // Questions and answers are for its owner's eyes.
    await mkdir(path, { recursive: true, mode: 0o700 }).catch((error: Error) => {
      throw new RND1Error('io', `cannot create ${path}: ${error.message}`, { cause: error });
    });
    const lock = await FileLock.take(path, join(path, '.lock'));
    try {
      const files = await RecordFiles.open<FileRecord>(join(path, 'files'), 'file-');
      const batches = await RecordFiles.open<BatchRecord>(join(path, 'batches'), 'batch_');
      return new BatchFolder(limits, lock, files, batches);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** Whether an owner may have this many more bytes. */
  hasRoom(owner: string, bytes: number): boolean {
    const { maxBytes, maxBytesPerOwner } = this.limits;
    return this.#total + bytes <= maxBytes && (this.#used.get(owner) ?? 0) + bytes <= maxBytesPerOwner;
  }

  /** Adds to the bytes of an owner, or subtracts from them. */
  count(owner: string, bytes: number): void {
    this.#total += bytes;
    const used = (this.#used.get(owner) ?? 0) + bytes;
    if (used === 0) this.#used.delete(owner);
    else this.#used.set(owner, used);
  }

  /** Begins to receive a file. */
  async receive(owner: string): Promise<Upload> {
    const { id } = this.files.next();
    const path = this.files.temporaryOf(id);
    const handle = await open(path, 'wx');
    return new Upload(this, owner, path, handle);
  }

  /** Makes a finished file one of the folder. `counted`: how many of its bytes are its owner's already. */
  async adopt(path: string, bytes: number, file: NewFile, counted = 0): Promise<FileRecord> {
    const { keep, ...given } = file;
    const createdAt = secondsNow();
    const record: FileRecord = {
      ...this.files.next(),
      ...given,
      createdAt,
      expiresAt: createdAt + Math.min(keep ?? Infinity, this.limits.keep),
      bytes,
    };
    await rename(path, this.files.dataOf(record.id));
    try {
      await this.files.save(record);
    } catch (error) {
      await this.files.remove(record.id);
      throw error;
    }
    this.count(record.owner, Math.max(leastBytes, bytes) - counted);
    return record;
  }

  /** Whether an unfinished batch reads a file. */
  isInUse(id: string): boolean {
    return [...this.batches.all].some(
      ({ inputFile, status }) => inputFile === id && !finalStates.has(status),
    );
  }

  async removeFile({ id, owner, bytes }: FileRecord): Promise<void> {
    if (this.files.get(id) === null) return;
    this.count(owner, -Math.max(leastBytes, bytes));
    await this.files.remove(id);
  }

  async addBatch(record: BatchRecord): Promise<void> {
    this.count(record.owner, leastBytes);
    await this.batches.save(record);
  }

  /** Removes files that have expired, and batches that ended long ago. */
  async removeOld(now = secondsNow()): Promise<void> {
    for (const file of [...this.files.all]) {
      if (file.expiresAt <= now && !this.isInUse(file.id)) await this.removeFile(file);
    }
    for (const { id, owner, status, createdAt } of [...this.batches.all]) {
      if (!finalStates.has(status) || createdAt + this.limits.keep > now) continue;
      this.count(owner, -leastBytes);
      await this.batches.remove(id);
    }
  }

  async close(): Promise<void> {
    await this.files.settled();
    await this.batches.settled();
    await this.lock.release();
  }
}
