import { isSpecial } from './recording.js';
import { unitsOf } from './sudoku.js';

/**
 * @import { Cell } from './recording.js'
 * @import { Puzzle } from './sudoku.js'
 *
 * Place of a token in a picture.
 * @typedef {{ x: number, y: number, width: number, height: number, cell: Cell }} Place
 *
 * Layout of a run: the tokens that it writes, the given ones, and lines.
 * @typedef {{ width: number, height: number, places: Place[], given: { x: number, y: number, text: string }[],
 *   lines: { x: number, y: number, x2: number, y2: number, heavy: boolean }[], board: boolean }} Layout
 */

const cellSize = 44;

/**
 * A Sudoku. Its empty cells are the tokens that the run writes, in the same order.
 *
 * @param {Puzzle} puzzle
 * @param {readonly Cell[]} cells at the end of the run
 * @returns {Layout}
 */
export function placeBoard({ layout, cells: digits }, cells) {
  const { size, boxRows, boxColumns } = layout;
  const written = cells.filter(({ state }) => state !== 'fixed');
  const side = size * cellSize;
  /** @type {Layout} */
  const placed = { width: side, height: side, places: [], given: [], lines: [], board: true };
  digits.forEach((digit, i) => {
    const { row, column } = unitsOf(layout, i);
    const [x, y] = [column * cellSize, row * cellSize];
    if (digit !== 0) {
      placed.given.push({ x: x + cellSize / 2, y: y + cellSize * 0.68, text: String(digit) });
      return;
    }
    const cell = written.shift();
    if (cell !== undefined) placed.places.push({ x, y, width: cellSize, height: cellSize, cell });
  });
  for (let i = 1; i < size; i++) {
    const at = i * cellSize;
    placed.lines.push({ x: at, y: 0, x2: at, y2: side, heavy: i % boxColumns === 0 });
    placed.lines.push({ x: 0, y: at, x2: side, y2: at, heavy: i % boxRows === 0 });
  }
  return placed;
}

/** Width of a character of a monospaced font at 17 pixels. */
const advance = 10.25;
const tokenHeight = 24;
const lineHeight = 35;
const columns = 62;

/**
 * A text, in lines. The place of a token depends on the final text.
 *
 * @param {readonly Cell[]} cells at the end of the run, none of them behind the end of the text
 * @returns {Layout}
 */
export function placeText(cells) {
  /** @type {Layout} */
  const placed = { width: columns * advance, height: 0, places: [], given: [], lines: [], board: false };
  let [row, column] = [0, 0];
  const newLine = () => {
    row++;
    column = 0;
  };
  for (const cell of cells) {
    if (cell.state === 'fixed' && isSpecial(cell.text)) continue;
    if (cell.state === 'fixed') {
      for (const character of cell.text) {
        if (character === '\n') {
          newLine();
          continue;
        }
        if (column + columnsOf(character) > columns) newLine();
        const last = placed.given.at(-1);
        const y = row * lineHeight + 17;
        // Characters of one line form one text.
        if (last?.y === y && last.x + columnsOf(last.text) * advance === column * advance)
          last.text += character;
        else placed.given.push({ x: column * advance, y, text: character });
        column += columnsOf(character);
      }
      continue;
    }
    const width = Math.min(columns, Math.max(1, columnsOf(cell.text.replaceAll('\n', '') || ' ')));
    if (column + width > columns) newLine();
    placed.places.push({
      x: column * advance,
      y: row * lineHeight,
      width: width * advance,
      height: tokenHeight,
      cell,
    });
    column += width;
    for (const _ of cell.text.matchAll(/\n/g)) newLine();
  }
  placed.height = row * lineHeight + tokenHeight;
  return placed;
}

const wide = /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Emoji_Presentation}]/u;

/** Number of columns of a text. @param {string} text */
export const columnsOf = (text) =>
  [...text].reduce(
    (sum, character) => sum + (wide.test(character) ? 2 : /\p{M}/u.test(character) ? 0 : 1),
    0,
  );
