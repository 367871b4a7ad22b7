import type { TokenFrame } from '../api/types';
import { type Cell, type CellContext, cellsOf } from './cells';
import { type Line, visible, wrap } from './layout';
import { type Style, styleFor } from './style';
import { textWidth, truncate } from './width';

/** The part of a terminal that the live view uses. */
export interface Terminal {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

/** Numbers in the status line under the canvas. */
export interface Status {
  readonly step: number;
  readonly steps: number;
  /** Positions filled, of all that were masked at the start. */
  readonly filled: number;
  readonly total: number;
  readonly seconds: number;
}

const hideCursor = '\x1b[?25l';
const showCursor = '\x1b[?25h';
/** Synchronized output: terminals that support it show the text between these in one update, others ignore them. */
const beginFrame = '\x1b[?2026h';
const endFrame = '\x1b[?2026l';

/** A bar of `columns` columns, filled to `share` (0 to 1). */
export function bar(share: number, columns: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * columns);
  return '█'.repeat(full) + '░'.repeat(columns - full);
}

/** `step 7/16 ████░░░░ 23/31 tokens  12.3 tokens/s  0.4 s`, cut to fit. */
export function statusLine(status: Status, columns: number): string {
  const { step, steps, filled, total, seconds } = status;
  const rate = seconds > 0 && filled > 0 ? `  ${(filled / seconds).toFixed(1)} tokens/s` : '';
  const left = `step ${step}/${steps} `;
  const right = ` ${filled}/${total} tokens${rate}  ${seconds.toFixed(1)} s`;
  const room = Math.min(24, columns - textWidth(left) - textWidth(right));
  return truncate(left + (room >= 4 ? bar(total > 0 ? filled / total : 1, room) : '') + right, columns);
}

/**
 * The canvas in a terminal, redrawn in place as it unmasks: one write per frame, each line cleared before it is
 * overwritten. `close` clears it and shows the cursor again.
 */
export class LiveCanvas {
  readonly #terminal: Terminal;
  readonly #style: Style;
  readonly #context: CellContext;
  /** Widths of the lines on the screen; the cursor is in the last one. */
  #drawn: readonly number[] = [];
  #open = false;
  readonly #restore = () => this.close();

  constructor(terminal: Terminal, context: CellContext, style: Style = styleFor(terminal)) {
    this.#terminal = terminal;
    this.#style = style;
    this.#context = context;
  }

  /** Draws a frame over the one before. */
  draw(frame: Pick<TokenFrame, 'tokens' | 'masked' | 'committed'>, status: Status): void {
    // The last column stays free: terminals differ in where the cursor is after writing into it.
    const columns = Math.max(2, (this.#terminal.columns || 80) - 1);
    // A terminal of unknown size reports 0.
    const rows = Math.max(1, (this.#terminal.rows || 24) - 2);
    const lines = visible(wrap(this.#cells(frame), columns, this.#style), rows);
    const last = statusLine(status, columns);
    const all: Line[] = [...lines, { text: this.#style.dim(last), width: textWidth(last), hasMasked: false }];
    let out = this.#begin();
    out += all.map((line) => `\x1b[2K${line.text}`).join('\n');
    this.#drawn = all.map((line) => line.width);
    this.#terminal.write(`${out}\x1b[J${endFrame}`);
  }

  /** Removes the canvas from the screen and shows the cursor. May be called at any time and repeatedly. */
  close(): void {
    if (!this.#open) return;
    this.#terminal.write(`${this.#toTop()}\x1b[J${showCursor}`);
    this.#open = false;
    this.#drawn = [];
    process.removeListener('exit', this.#restore);
  }

  #cells(frame: Pick<TokenFrame, 'tokens' | 'masked' | 'committed'>): Cell[] {
    return cellsOf(frame, this.#context);
  }

  #begin(): string {
    if (this.#open) return beginFrame + this.#toTop();
    this.#open = true;
    process.on('exit', this.#restore);
    return hideCursor + beginFrame;
  }

  /** Moves to the first column of the first drawn line, also after the terminal's width has changed. */
  #toTop(): string {
    const columns = Math.max(1, this.#terminal.columns || 80);
    const rows = this.#drawn.reduce((sum, width) => sum + Math.max(1, Math.ceil(width / columns)), 0);
    return rows > 1 ? `\r\x1b[${rows - 1}A` : '\r';
  }
}
