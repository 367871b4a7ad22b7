import type { Cell } from './cells';
import type { Style } from './style';
import { graphemes, graphemeWidth } from './width';

/** A line that fits the terminal. */
export interface Line {
  /** With style codes. */
  readonly text: string;
  /** Columns it takes. */
  readonly width: number;
  /** Whether it contains a masked position; `visible` follows such lines. */
  readonly hasMasked: boolean;
}

const tabStop = 4;

/** Wraps pieces to `columns`, breaking between graphemes. A newline ends a line; a fresh one is shown as `↵`. */
export function wrap(cells: readonly Cell[], columns: number, style: Style): Line[] {
  const lines: Line[] = [];
  let text = '';
  let width = 0;
  let hasMasked = false;
  const endLine = () => {
    lines.push({ text, width, hasMasked });
    text = '';
    width = 0;
    hasMasked = false;
  };
  for (const { text: piece, kind } of cells) {
    let run = '';
    const flush = () => {
      if (run !== '') text += style.cell(run, kind);
      run = '';
    };
    const add = (what: string, columnsOfIt: number) => {
      if (width + columnsOfIt > columns && width > 0) {
        flush();
        endLine();
      }
      run += what;
      width += columnsOfIt;
      hasMasked ||= kind === 'masked';
    };
    for (const grapheme of graphemes(piece)) {
      if (grapheme === '\n') {
        if (kind === 'fresh') add('↵', 1);
        flush();
        endLine();
      } else if (grapheme === '\t') {
        const spaces = tabStop - (width % tabStop);
        add(' '.repeat(spaces), spaces);
      } else {
        add(grapheme, graphemeWidth(grapheme));
      }
    }
    flush();
  }
  if (text !== '' || lines.length === 0) endLine();
  return lines;
}

/** The part of the lines that fits `rows`: from the start, then following the first line that is still masked. */
export function visible(lines: readonly Line[], rows: number): Line[] {
  if (lines.length <= rows) return [...lines];
  const firstMasked = lines.findIndex((line) => line.hasMasked);
  const wanted = firstMasked < 0 ? lines.length : firstMasked - 1;
  const start = Math.max(0, Math.min(wanted, lines.length - rows));
  return lines.slice(start, start + rows);
}
