import type { Template } from '../../lib';
import type { Random } from './random';

/** Cells row by row, 36 in all; 0 = hole. */
export type Grid = readonly number[];

const size = 6;
const [boxRows, boxColumns] = [2, 3];

const title = 'Sudoku 6x6\n';
const digits = [1, 2, 3, 4, 5, 6];

/** The three sets that a cell belongs to: row, column, box. */
function unitsOf(cell: number): string[] {
  const [row, column] = [Math.floor(cell / size), cell % size];
  return [
    `row ${row}`,
    `column ${column}`,
    `box ${Math.floor(row / boxRows)} ${Math.floor(column / boxColumns)}`,
  ];
}

const units = Array.from({ length: size * size }, (_, cell) => unitsOf(cell));

/** Whether two different cells with the same digit share a row, column or box. */
const clash = (one: number, other: number) =>
  one !== other && (units[one] as string[]).some((unit) => units[other]?.includes(unit));

/** A grid that obeys the rules, with `holes` cells removed. */
export function makePuzzle(random: Random, holes: number): Grid {
  const grid = new Array<number>(size * size).fill(0);
  const fillFrom = (cell: number): boolean => {
    if (cell === grid.length) return true;
    for (const digit of random.shuffle(digits)) {
      if (grid.some((other, at) => other === digit && clash(at, cell))) continue;
      grid[cell] = digit;
      if (fillFrom(cell + 1)) return true;
      grid[cell] = 0;
    }
    return false;
  };
  fillFrom(0);
  for (const cell of random.shuffle(grid.map((_, index) => index)).slice(0, holes)) grid[cell] = 0;
  return grid;
}

/** Whether a grid is complete, obeys the rules and keeps the given cells. */
export function isSolution(grid: Grid, puzzle: Grid): boolean {
  return (
    grid.length === puzzle.length &&
    grid.every(
      (digit, cell) =>
        digits.includes(digit) &&
        (puzzle[cell] === 0 || puzzle[cell] === digit) &&
        !grid.some((other, at) => other === digit && clash(at, cell)),
    )
  );
}

/**
 * A puzzle as a template for `fill`, laid out as in the nano model's training: a canvas of 64 bytes, the last of which,
 * a pad, is added by `fill`.
 */
export function templateOf(puzzle: Grid): Template {
  const cells = puzzle.flatMap((digit, cell) => {
    const piece = digit === 0 ? { length: 1 } : String(digit);
    return cell % size === size - 1 ? [piece, '\n'] : [piece];
  });
  return [title, ...cells, '<|im_end|>', '<|endoftext|>'.repeat(9)];
}

/** The six lines of the grid in a text from `fill`, including masked cells. */
export function linesOf(text: string): string[] {
  return text.slice(title.length).split('\n').slice(0, size);
}

/** Digits of such lines; any other character becomes NaN, which is never valid. */
export function gridOf(lines: readonly string[]): Grid {
  return lines.flatMap((line) => [...line].map(Number));
}
