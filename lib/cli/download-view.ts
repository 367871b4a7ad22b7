import type { DownloadProgress } from '../api/types';
import { formatBytes } from '../support/format-bytes';
import { printableName } from '../support/printable';
import { bar, type Terminal } from './render';
import { canMoveCursor, type Style, styleFor } from './style';
import { truncate } from './width';

/** Pause between two drawings, in milliseconds. */
const pause = 100;
/** Window over which the rate is averaged, in milliseconds. */
const rateWindow = 10_000;
const barColumns = 16;
/** Width of `999.9 kB of 99.9 GB`. */
const bytesColumns = 20;

/**
 * Shows the progress of a download: in a terminal a bar for each file in progress and one for the total, drawn in
 * place; elsewhere a line for each complete file and for each 10 % of the total.
 */
export class DownloadView {
  readonly #terminal: Terminal;
  readonly #style: Style;
  readonly #moves: boolean;
  readonly #active = new Map<string, DownloadProgress>();
  readonly #rate: Rate;
  #drawnAt = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #tenths: number | null = null;

  constructor(
    terminal: Terminal,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.#terminal = terminal;
    this.#style = styleFor(terminal);
    this.#moves = canMoveCursor(terminal);
    this.#rate = new Rate(now);
  }

  /** Callback for `onProgress`. */
  readonly update = (progress: DownloadProgress): void => {
    const isWhole = progress.fileBytes === progress.fileTotalBytes;
    if (isWhole) this.#active.delete(progress.file);
    else this.#active.set(progress.file, progress);
    this.#rate.add(progress.bytes);
    if (this.#moves) this.#draw(progress);
    else this.#tell(progress, isWhole);
  };

  /** Clears the bars. */
  close(): void {
    if (this.#lines > 0) this.#terminal.write(`${this.#toTop()}\x1b[J`);
    this.#lines = 0;
  }

  #draw(progress: DownloadProgress): void {
    const time = this.now();
    if (time - this.#drawnAt < pause) return;
    this.#drawnAt = time;
    const columns = Math.max(20, (this.#terminal.columns || 80) - 1);
    const rows = Math.max(1, (this.#terminal.rows || 24) - 2);
    const files = [...this.#active.values()].sort((a, b) => (a.file < b.file ? -1 : 1));
    const lines = files
      .slice(0, rows - 1)
      .map(({ file, fileBytes, fileTotalBytes }) =>
        line(fileBytes, fileTotalBytes, printableName(file), columns),
      );
    const text = [...lines, this.#total(progress, columns)].map((one) => `\x1b[2K${this.#style.dim(one)}`);
    this.#terminal.write(`\x1b[?2026h${this.#toTop()}${text.join('\n')}\x1b[J\x1b[?2026l`);
    this.#lines = text.length;
  }

  #total({ bytes, totalBytes, files, totalFiles }: DownloadProgress, columns: number): string {
    const rate = this.#rate.perSecond();
    const left = rate > 0 ? `  ${formatBytes(rate)}/s  ${formatTime((totalBytes - bytes) / rate)} left` : '';
    return line(bytes, totalBytes, `${files}/${totalFiles} files${left}`, columns);
  }

  #tell({ bytes, totalBytes, files, totalFiles, ...of }: DownloadProgress, isWhole: boolean): void {
    const tenths = totalBytes > 0 ? Math.floor((10 * bytes) / totalBytes) : 10;
    const all = `${files} of ${totalFiles} files, ${ofBytes(bytes, totalBytes)}`;
    if (this.#tenths === null) this.#terminal.write(`downloading: ${all}\n`);
    else if (isWhole)
      this.#terminal.write(`${printableName(of.file)}, ${formatBytes(of.fileBytes)}: ${all}\n`);
    else if (tenths > this.#tenths) this.#terminal.write(`${10 * tenths} %: ${all}\n`);
    this.#tenths = tenths;
  }

  #toTop(): string {
    return this.#lines > 1 ? `\r\x1b[${this.#lines - 1}A` : '\r';
  }
}

/** Bytes per second over the last `rateWindow`. */
class Rate {
  readonly #samples: { readonly time: number; readonly bytes: number }[] = [];

  constructor(private readonly now: () => number) {}

  add(bytes: number): void {
    const time = this.now();
    const last = this.#samples.at(-1);
    if (last !== undefined && time - last.time < pause) return;
    this.#samples.push({ time, bytes });
    while (time - (this.#samples[0]?.time ?? time) > rateWindow) this.#samples.shift();
  }

  /** 0 until there are two samples. */
  perSecond(): number {
    const [first, last] = [this.#samples[0], this.#samples.at(-1)];
    if (first === undefined || last === undefined || last.time === first.time) return 0;
    return Math.max(0, (1000 * (last.bytes - first.bytes)) / (last.time - first.time));
  }
}

/** `1.20 of 4.99 GB`; the first number has a unit only if it differs. */
function ofBytes(bytes: number, total: number): string {
  const [amount, unit] = formatBytes(bytes).split(' ');
  const all = formatBytes(total);
  return all.endsWith(` ${unit}`) ? `${amount} of ${all}` : `${amount} ${unit} of ${all}`;
}

/** `1:02:03`, or `2:03`. */
export function formatTime(seconds: number): string {
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const two = (value: number) => String(value).padStart(2, '0');
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** A bar, the bytes, and a label. */
function line(bytes: number, total: number, what: string, columns: number): string {
  const share = bar(total > 0 ? bytes / total : 1, barColumns);
  return truncate(`${share} ${ofBytes(bytes, total).padEnd(bytesColumns)} ${what}`, columns);
}
