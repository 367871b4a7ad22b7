import type { Terminal } from '../../../lib/cli/render';
import { graphemes, graphemeWidth } from '../../../lib/cli/width';

/** A minimal terminal emulator that shows what a user would see. It throws on unknown control sequences. */
export class Screen implements Terminal {
  #cells: string[][] = [[]];
  #row = 0;
  #column = 0;
  /** Number of lines scrolled out at the top. */
  scrolled = 0;
  cursorHidden = false;
  writes = 0;

  constructor(
    public columns: number,
    readonly rows: number,
    readonly isTTY = true,
  ) {}

  /** Lines from the top, without trailing blanks and empty lines at the end. */
  lines(): string[] {
    const lines = this.#cells.map((line) =>
      Array.from(line, (cell) => cell ?? ' ')
        .join('')
        .trimEnd(),
    );
    while (lines.at(-1) === '') lines.pop();
    return lines;
  }

  /** Makes the screen narrower as terminals do: lines are rewrapped, the cursor stays on its character. */
  resize(columns: number): void {
    this.columns = columns;
    const wrapped: string[][] = [];
    let row = 0;
    for (const [index, line] of this.#cells.entries()) {
      const start = wrapped.length;
      for (let from = 0; from === 0 || from < line.length; from += columns) {
        wrapped.push(line.slice(from, from + columns));
      }
      if (index === this.#row) {
        row = start + Math.floor(Math.max(0, this.#column - 1) / columns);
        this.#column %= columns;
      }
    }
    this.#cells = wrapped;
    this.#row = row;
  }

  write(text: string): boolean {
    this.writes++;
    const [plain = '', ...rest] = text.split('\x1b');
    for (const grapheme of graphemes(plain)) this.#put(grapheme);
    for (const part of rest) {
      const sequence = /^\[[?0-9;]*[A-Za-z]/.exec(part)?.[0] ?? '';
      this.#control(sequence);
      for (const grapheme of graphemes(part.slice(sequence.length))) this.#put(grapheme);
    }
    return true;
  }

  #control(sequence: string): void {
    if (/^\[[0-9;]*m$/.test(sequence) || /^\[\?2026[hl]$/.test(sequence)) return;
    const line = this.#cells[this.#row] as string[];
    const up = /^\[(\d+)A$/.exec(sequence);
    if (up) this.#row = Math.max(0, this.#row - Number(up[1]));
    else if (sequence === '[2K') this.#cells[this.#row] = [];
    else if (sequence === '[J') {
      this.#cells.length = this.#row + 1;
      line.length = Math.min(this.#column, line.length);
    } else if (sequence === '[?25l') this.cursorHidden = true;
    else if (sequence === '[?25h') this.cursorHidden = false;
    else throw new Error(`unknown control sequence ${JSON.stringify(sequence)}`);
  }

  #put(grapheme: string): void {
    if (grapheme === '\r') this.#column = 0;
    else if (grapheme === '\n' || grapheme === '\r\n') this.#newLine();
    else {
      const width = graphemeWidth(grapheme);
      if (this.#column + width > this.columns) this.#newLine();
      const line = this.#cells[this.#row] as string[];
      line[this.#column] = grapheme;
      if (width === 2) line[this.#column + 1] = '';
      this.#column += width;
    }
  }

  #newLine(): void {
    this.#column = 0;
    this.#row++;
    if (this.#row === this.#cells.length) this.#cells.push([]);
    if (this.#row === this.rows) {
      this.#cells.shift();
      this.#row--;
      this.scrolled++;
    }
  }
}
