import type { Grid } from './sudoku';

/** Lines of a Sudoku board, 13 columns wide; the model's digits are green, masked cells dim. */
export function boardOf(
  lines: readonly string[],
  puzzle: Grid,
  paint: (code: number, text: string) => string,
): string[] {
  const rows = lines.map((line, row) => {
    const cells = [...line].map((cell, column) => {
      if (cell === '░') return paint(2, cell);
      return puzzle[row * 6 + column] === 0 ? paint(32, cell) : cell;
    });
    return `${cells.slice(0, 3).join(' ')} │ ${cells.slice(3).join(' ')}`;
  });
  return rows.flatMap((row, i) => (i === 2 || i === 4 ? ['──────┼──────', row] : [row]));
}
