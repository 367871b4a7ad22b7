import type { LoadProgress } from '../api/types';
import { formatBytes } from '../support/format-bytes';
import { DownloadView } from './download-view';
import { bar, type Terminal } from './render';
import { canMoveCursor, type Style, styleFor } from './style';
import { truncate } from './width';

/** Loads that take less time show no bar, in milliseconds. */
const quietTime = 200;
/** Pause between two drawings, in milliseconds. */
const pause = 50;

/** A terminal line that is overwritten in place and cleared at the end. Without a terminal it does nothing. */
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

  /** Shows a text, cut to fit, unless less than `pause` has passed since the last one. */
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

/** Update interval of `Waiting`, in milliseconds. */
const heartbeat = 250;

/** Shows the current activity and its seconds while there is no progress to show. */
export class Waiting {
  readonly #line: ProgressLine;
  #timer: NodeJS.Timeout | undefined;

  constructor(
    terminal: Terminal,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#line = new ProgressLine(terminal, now);
  }

  /** Shows the text, the first time at once: the work that follows may block the event loop. */
  begin(text: string): void {
    clearInterval(this.#timer);
    const start = this.now();
    const show = () => {
      const seconds = Math.floor((this.now() - start) / 1000);
      this.#line.show(() => `${text} …${seconds > 0 ? ` ${seconds} s` : ''}`);
    };
    this.#timer = setInterval(show, heartbeat).unref();
    show();
  }

  /** Clears the text. */
  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#line.close();
  }
}

/** A bar while a model loads, or several while it is fetched from the hub. Quick loads show nothing. */
export class LoadingBar {
  readonly #line: ProgressLine;
  readonly #waiting: Waiting;
  readonly #downloads: DownloadView;
  readonly #start: number;

  constructor(
    terminal: Terminal,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#line = new ProgressLine(terminal, now);
    this.#waiting = new Waiting(terminal, now);
    this.#downloads = new DownloadView(terminal, now);
    this.#start = now();
  }

  /** Shows `text` until there is progress to show. */
  begin(text: string): void {
    this.#waiting.begin(text);
  }

  /** Callback for `onProgress`. */
  readonly update = ({ bytes, totalBytes, tensors, totalTensors, download }: LoadProgress): void => {
    this.#waiting.close();
    if (download !== undefined) {
      this.#downloads.update(download);
      if (download.files < download.totalFiles) return;
      this.#downloads.close();
      this.#waiting.begin('reading configuration and tokenizer');
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

  /** Clears the terminal line or lines. */
  close(): void {
    this.#waiting.close();
    this.#downloads.close();
    this.#line.close();
  }
}
