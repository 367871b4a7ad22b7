import type { Cell } from './cells';

/** Adds terminal escape codes to text. */
export interface Style {
  cell(text: string, kind: Cell['kind']): string;
  dim(text: string): string;
  strong(text: string): string;
}

const sgr = (code: string) => (text: string) => `\x1b[${code}m${text}\x1b[0m`;

const coloured: Style = {
  cell(text, kind) {
    switch (kind) {
      case 'masked':
      case 'special':
        return sgr('2')(text);
      case 'fresh':
        return sgr('30;42')(text);
      case 'filled':
        return sgr('1')(text);
      case 'fixed':
        return text;
    }
  },
  dim: sgr('2'),
  strong: sgr('1'),
};

const plain: Style = { cell: (text) => text, dim: (text) => text, strong: (text) => text };

/** Whether a stream is a terminal whose cursor can be moved. */
export function canMoveCursor(stream: { readonly isTTY?: boolean }, environment = process.env): boolean {
  return stream.isTTY === true && environment.TERM !== 'dumb';
}

/** Colours in a terminal, unless NO_COLOR (https://no-color.org) or TERM=dumb asks for none. */
export function styleFor(stream: { readonly isTTY?: boolean }, environment = process.env): Style {
  return canMoveCursor(stream, environment) && !environment.NO_COLOR ? coloured : plain;
}
