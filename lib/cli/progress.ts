import type { LoadProgress } from '../types';
import { bar, type Terminal } from './render';
import { canMoveCursor, type Style, styleFor } from './style';
import { truncate } from './width';

/** Loads that end sooner show nothing, in milliseconds. */
const quietTime = 200;
/** Pause between two drawings, in milliseconds. */
const pause = 50;

/** `12.3 MB`, in decimal units. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : 1)} ${units[unit]}`;
}

/** A bar on a terminal's one line while a model loads; nothing elsewhere. */
export class LoadingBar {
  readonly #terminal: Terminal;
  readonly #style: Style;
  readonly #shows: boolean;
  readonly #start: number;
  #last = Number.NEGATIVE_INFINITY;
  #drawn = false;

  constructor(
    terminal: Terminal,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#terminal = terminal;
    this.#style = styleFor(terminal);
    this.#shows = canMoveCursor(terminal);
    this.#start = now();
  }

  /** To be passed as `onProgress`. */
  readonly update = ({ bytes, totalBytes, tensors, totalTensors }: LoadProgress): void => {
    const time = this.now();
    if (!this.#shows || time - this.#start < quietTime || time - this.#last < pause) return;
    this.#last = time;
    this.#drawn = true;
    const share = totalBytes > 0 ? bytes / totalBytes : 1;
    const text = `loading ${bar(share, 24)} ${formatBytes(bytes)} of ${formatBytes(totalBytes)}, ${tensors}/${totalTensors} tensors`;
    this.#terminal.write(
      `\r\x1b[2K${this.#style.dim(truncate(text, Math.max(1, (this.#terminal.columns ?? 80) - 1)))}`,
    );
  };

  /** Clears the line. */
  close(): void {
    if (this.#drawn) this.#terminal.write('\r\x1b[2K');
    this.#drawn = false;
  }
}
