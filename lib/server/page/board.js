import { paint } from './cell.js';
import { create } from './dom.js';
import { Roving } from './roving.js';
import { clashes, unitsOf } from './sudoku.js';

/**
 * @import { Cell } from './recording.js'
 * @import { Puzzle } from './sudoku.js'
 */

/** A Sudoku as a board. Its empty cells are the holes of the text, in the same order. */
export class Board {
  /** @type {HTMLElement[]} */
  #cells = [];
  /** @type {Puzzle} */
  #puzzle = { layout: { size: 4, boxRows: 2, boxColumns: 2 }, cells: [] };
  #roving;

  /**
   * @param {HTMLElement} root
   * @param {string} name prefix of the ids of its cells
   * @param {(hole: number | null) => void} onInspect the selected cell, as an index among the empty ones
   */
  constructor(root, name, onInspect) {
    this.root = root;
    this.name = name;
    this.#roving = new Roving(
      root,
      (index) => onInspect(index === null || this.#puzzle.cells[index] !== 0 ? null : this.#holeOf(index)),
      (key, index) => this.#move(key, index),
    );
  }

  /** Draws the puzzle without any written digit. @param {Puzzle} puzzle */
  open(puzzle) {
    const { size, boxRows, boxColumns } = puzzle.layout;
    this.#puzzle = puzzle;
    this.root.className = 'board';
    this.root.role = 'grid';
    this.root.ariaLabel = `Sudoku of ${size} by ${size}`;
    this.root.dataset.size = String(size);
    this.#cells = puzzle.cells.map((digit, i) => {
      const cell = create('span', { className: 'token', id: `${this.name}cell-${i}`, role: 'gridcell' });
      const { row, column } = unitsOf(puzzle.layout, i);
      cell.dataset.state = digit === 0 ? 'masked' : 'fixed';
      cell.textContent = digit === 0 ? '' : String(digit);
      cell.ariaLabel = digit === 0 ? 'Empty' : `${digit}, given`;
      cell.classList.toggle('box-right', (column + 1) % boxColumns === 0 && column + 1 < size);
      cell.classList.toggle('box-bottom', (row + 1) % boxRows === 0 && row + 1 < size);
      return cell;
    });
    const rows = Array.from({ length: size }, (_, row) =>
      create('div', { className: 'row', role: 'row' }, ...this.#cells.slice(row * size, (row + 1) * size)),
    );
    this.root.replaceChildren(...rows);
    this.#roving.use(this.#cells);
  }

  /**
   * @param {readonly Cell[]} canvas
   * @param {{ guesses: boolean }} options
   */
  show(canvas, { guesses }) {
    const holes = canvas.filter(({ state }) => state !== 'fixed');
    let next = 0;
    const digits = this.#puzzle.cells.map((digit, i) => {
      const hole = digit === 0 ? holes[next++] : undefined;
      if (hole === undefined) return digit;
      paint(/** @type {HTMLElement} */ (this.#cells[i]), hole, guesses);
      return hole.commit === null ? 0 : Number(hole.text);
    });
    const wrong = clashes(this.#puzzle.layout, digits);
    this.#cells.forEach((cell, i) => {
      const clash = wrong.has(i);
      cell.classList.toggle('clash', clash);
      cell.setAttribute('aria-invalid', String(clash));
    });
    return digits;
  }

  close() {
    this.#roving.use([]);
  }

  /** @param {number} cell */
  #holeOf(cell) {
    return this.#puzzle.cells.slice(0, cell).filter((digit) => digit === 0).length;
  }

  /**
   * @param {string} key
   * @param {number} index
   */
  #move(key, index) {
    const { size } = this.#puzzle.layout;
    const { row, column } = unitsOf(this.#puzzle.layout, index);
    if (key === 'ArrowRight' && column + 1 < size) return index + 1;
    if (key === 'ArrowLeft' && column > 0) return index - 1;
    if (key === 'ArrowDown' && row + 1 < size) return index + size;
    if (key === 'ArrowUp' && row > 0) return index - size;
    return index;
  }
}
