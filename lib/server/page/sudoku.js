/**
 * Sudokus as in the training of the nano model: 4 × 4 with boxes of 2 × 2, 6 × 6 with boxes of 2 rows × 3 columns.
 *
 * @typedef {{ size: 4 | 6, boxRows: number, boxColumns: number }} Layout
 * @typedef {{ layout: Layout, cells: readonly number[] }} Puzzle cells row by row, 0 = hole
 * @typedef {() => number} Random uniform in [0, 1)
 */

/** @type {Readonly<Record<4 | 6, Layout>>} */
export const layouts = {
  4: { size: 4, boxRows: 2, boxColumns: 2 },
  6: { size: 6, boxRows: 2, boxColumns: 3 },
};

/** Number of tokens of the model's training canvases. */
const canvasLength = 64;

/**
 * The row, column and box of a cell.
 *
 * @param {Layout} layout
 * @param {number} cell
 */
export function unitsOf({ size, boxRows, boxColumns }, cell) {
  const row = Math.floor(cell / size);
  const column = cell % size;
  const box = Math.floor(row / boxRows) * boxRows + Math.floor(column / boxColumns);
  return { row, column, box };
}

/**
 * @param {Layout} layout
 * @param {number} one
 * @param {number} other
 */
function shareUnit(layout, one, other) {
  const a = unitsOf(layout, one);
  const b = unitsOf(layout, other);
  return one !== other && (a.row === b.row || a.column === b.column || a.box === b.box);
}

/**
 * A puzzle with one solution: a valid grid from which `holes` cells were removed. With several solutions the model
 * would have to guess.
 *
 * @param {4 | 6} size
 * @param {number} holes
 * @param {Random} [random]
 * @returns {Puzzle}
 */
export function makePuzzle(size, holes, random = Math.random) {
  const layout = layouts[size];
  const digits = Array.from({ length: size }, (_, i) => i + 1);
  for (;;) {
    /** @type {number[]} */
    const cells = new Array(size * size).fill(0);
    solve(layout, cells, () => shuffled(digits, random));
    for (const cell of shuffled([...cells.keys()], random).slice(0, holes)) cells[cell] = 0;
    if (countSolutions(layout, cells, 2) === 1) return { layout, cells };
  }
}

/**
 * Fills the empty cells of a grid; false if that is impossible.
 *
 * @param {Layout} layout
 * @param {number[]} cells
 * @param {() => number[]} digitsInOrder digits to try in a cell
 * @returns {boolean}
 */
function solve(layout, cells, digitsInOrder) {
  const cell = cells.indexOf(0);
  if (cell === -1) return true;
  for (const digit of digitsInOrder()) {
    if (!fits(layout, cells, cell, digit)) continue;
    cells[cell] = digit;
    if (solve(layout, cells, digitsInOrder)) return true;
    cells[cell] = 0;
  }
  return false;
}

/**
 * Number of ways to fill the empty cells.
 *
 * @param {Layout} layout
 * @param {readonly number[]} cells
 * @param {number} max counting stops here
 * @returns {number}
 */
export function countSolutions(layout, cells, max) {
  const cell = cells.indexOf(0);
  if (cell === -1) return 1;
  let count = 0;
  for (let digit = 1; digit <= layout.size && count < max; digit++) {
    if (!fits(layout, cells, cell, digit)) continue;
    count += countSolutions(layout, cells.with(cell, digit), max - count);
  }
  return count;
}

/**
 * @param {Layout} layout
 * @param {readonly number[]} cells
 * @param {number} cell
 * @param {number} digit
 */
const fits = (layout, cells, cell, digit) =>
  !cells.some((other, at) => other === digit && shareUnit(layout, at, cell));

/**
 * @template T
 * @param {readonly T[]} list
 * @param {Random} random
 * @returns {T[]}
 */
function shuffled(list, random) {
  const copy = [...list];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [copy[i], copy[j]] = [/** @type {T} */ (copy[j]), /** @type {T} */ (copy[i])];
  }
  return copy;
}

/**
 * The puzzle as a text with one hole per empty cell, padded to the length that the model knows; the server itself
 * adds the last pad.
 *
 * @param {Puzzle} puzzle
 * @param {string} hole
 */
export function textOf({ layout, cells }, hole) {
  const { size } = layout;
  const title = `Sudoku ${size}x${size}\n`;
  const rows = Array.from({ length: size }, (_, row) => cells.slice(row * size, (row + 1) * size));
  const grid = rows.map((row) => `${row.map((digit) => digit || hole).join('')}\n`).join('');
  const pads = canvasLength - title.length - size * (size + 1) - 2;
  return `${title}${grid}<|im_end|>${'<|endoftext|>'.repeat(pads)}`;
}

/**
 * Cells whose digit occurs twice in a row, column or box. Cells without a digit (0, NaN) clash with nothing.
 *
 * @param {Layout} layout
 * @param {readonly number[]} digits
 * @returns {Set<number>}
 */
export function clashes(layout, digits) {
  const wrong = new Set();
  digits.forEach((digit, cell) => {
    if (digits.some((other, at) => digit >= 1 && other === digit && shareUnit(layout, at, cell))) {
      wrong.add(cell);
    }
  });
  return wrong;
}

/**
 * Whether every cell holds a digit and none clashes.
 *
 * @param {Layout} layout
 * @param {readonly number[]} digits
 */
export const isSolved = (layout, digits) =>
  digits.every((digit) => Number.isInteger(digit) && digit >= 1 && digit <= layout.size) &&
  clashes(layout, digits).size === 0;
