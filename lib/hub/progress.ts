import type { DownloadProgress } from '../api/types';
import type { RemoteFile } from './remote';

/** Milliseconds between two reports of the same file. */
const pause = 50;

/** Adds up the bytes of all files, and reports them. */
export class Tracker {
  readonly #bytes = new Map<RemoteFile, number>();
  readonly #told = new Map<RemoteFile, number>();
  readonly #whole = new Set<RemoteFile>();
  readonly #totalBytes: number;
  #sum = 0;

  constructor(
    private readonly files: readonly RemoteFile[],
    private readonly report: ((progress: DownloadProgress) => void) | undefined,
  ) {
    this.#totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Sets the bytes of a file that were cached, without a report. */
  start(file: RemoteFile, bytes: number, whole: boolean): void {
    this.#set(file, bytes);
    if (whole) this.#whole.add(file);
  }

  /** Sets and reports a file's bytes. Throws what the callback throws. */
  update(file: RemoteFile, bytes: number): void {
    this.#set(file, bytes);
    // A complete file is not checked yet: `done` reports it.
    if (bytes === file.bytes) return;
    const now = performance.now();
    if (now - (this.#told.get(file) ?? Number.NEGATIVE_INFINITY) < pause) return;
    this.#told.set(file, now);
    this.#tell(file);
  }

  /** Reports a complete, checked file. */
  done(file: RemoteFile): void {
    this.#set(file, file.bytes);
    this.#whole.add(file);
    this.#tell(file);
  }

  #set(file: RemoteFile, bytes: number): void {
    this.#sum += bytes - (this.#bytes.get(file) ?? 0);
    this.#bytes.set(file, bytes);
  }

  #tell(file: RemoteFile): void {
    this.report?.({
      bytes: this.#sum,
      totalBytes: this.#totalBytes,
      files: this.#whole.size,
      totalFiles: this.files.length,
      file: file.path,
      fileBytes: this.#bytes.get(file) ?? 0,
      fileTotalBytes: file.bytes,
    });
  }
}
