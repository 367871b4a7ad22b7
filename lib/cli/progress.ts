import { formatBytes } from '../format-bytes';
import type { LoadProgress } from '../types';
import { DownloadView } from './download-view';
import { bar, type Terminal } from './render';
import { canMoveCursor, type Style, styleFor } from './style';
import { truncate } from './width';

/** Loads that end sooner show nothing, in milliseconds. */
const quietTime = 200;
/** Pause between two drawings, in milliseconds. */
const pause = 50;

/** One line of a terminal that is written over and cleared at last; nothing elsewhere. */
export class ProgressLine {
  readonly #terminal: Terminal;
  readonly #style: Style;
  readonly #shows: boolean;
  #last = Number.NEGATIVE_INFINITY;
  #drawn = false;

  constructor(
    terminal: Terminal,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#terminal = terminal;
    this.#style = styleFor(terminal);
    this.#shows = canMoveCursor(terminal);
  }

  /** Shows a text that fits, unless the last one was shown a moment ago. */
  show(text: (columns: number) => string): void {
    const time = this.now();
    if (!this.#shows || time - this.#last < pause) return;
    this.#last = time;
    this.#drawn = true;
    const columns = Math.max(1, (this.#terminal.columns || 80) - 1);
    this.#terminal.write(`\r\x1b[2K${this.#style.dim(truncate(text(columns), columns))}`);
  }

  /** Clears the line. */
  close(): void {
    if (this.#drawn) this.#terminal.write('\r\x1b[2K');
    this.#drawn = false;
  }
}

/** A bar while a model loads, or several while it is fetched from the hub; loads that are quick show nothing. */
export class LoadingBar {
  readonly #line: ProgressLine;
  readonly #downloads: DownloadView;
  readonly #start: number;

  constructor(
    terminal: Terminal,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#line = new ProgressLine(terminal, now);
    this.#downloads = new DownloadView(terminal, now);
    this.#start = now();
  }

  /** To be passed as `onProgress`. */
  readonly update = ({ bytes, totalBytes, tensors, totalTensors, download }: LoadProgress): void => {
    if (download !== undefined) {
      this.#downloads.update(download);
      return;
    }
    this.#downloads.close();
    if (this.now() - this.#start < quietTime) return;
    const share = totalBytes > 0 ? bytes / totalBytes : 1;
    this.#line.show(
      () =>
        `loading ${bar(share, 24)} ${formatBytes(bytes)} of ${formatBytes(totalBytes)}, ${tensors}/${totalTensors} tensors`,
    );
  };

  /** Clears what is shown. */
  close(): void {
    this.#downloads.close();
    this.#line.close();
  }
}
