import { type Draws, shuffled } from './draws';

/** Cells row by row; 0 is a hole. */
export type Grid = readonly number[];

/** Sudokus of 4 × 4 with boxes of 2 × 2, and of 6 × 6 with boxes of 2 rows × 3 columns. */
export type Size = 4 | 6;

const boxRows = 2;

/** For each cell, those that share its row, column or box and come before it. */
const earlier: Readonly<Record<Size, readonly (readonly number[])[]>> = { 4: clashes(4), 6: clashes(6) };

function clashes(size: Size): number[][] {
  const boxColumns = size / boxRows;
  const place = (cell: number) => {
    const [row, column] = [Math.floor(cell / size), cell % size];
    return [row, column, Math.floor(row / boxRows) * size + Math.floor(column / boxColumns)];
  };
  return Array.from({ length: size * size }, (_, cell) =>
    Array.from({ length: cell }, (_, other) => other).filter((other) =>
      place(cell).some((unit, kind) => unit === place(other)[kind]),
    ),
  );
}

/** A complete grid that obeys the rules. */
export function makeGrid(size: Size, draws: Draws): Grid {
  const digits = Array.from({ length: size }, (_, i) => i + 1);
  const grid = new Array<number>(size * size).fill(0);
  const fillFrom = (cell: number): boolean => {
    if (cell === grid.length) return true;
    for (const digit of shuffled(draws, digits)) {
      if (earlier[size][cell]?.some((other) => grid[other] === digit)) continue;
      grid[cell] = digit;
      if (fillFrom(cell + 1)) return true;
    }
    return false;
  };
  fillFrom(0);
  return grid;
}

/** Whether a grid is complete, obeys the rules and keeps the given cells of a puzzle. */
export function isSolution(size: Size, grid: Grid, puzzle: Grid): boolean {
  return (
    grid.length === size * size &&
    grid.every(
      (digit, cell) =>
        Number.isInteger(digit) &&
        digit >= 1 &&
        digit <= size &&
        (puzzle[cell] === 0 || puzzle[cell] === digit) &&
        !earlier[size][cell]?.some((other) => grid[other] === digit),
    )
  );
}
