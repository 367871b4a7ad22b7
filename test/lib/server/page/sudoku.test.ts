import {
  clashes,
  countSolutions,
  isSolved,
  layouts,
  makePuzzle,
  textOf,
  unitsOf,
} from '../../../../lib/server/page/sudoku.js';
import { random } from '../../../support/random';

test.each([
  [4, 8],
  [6, 18],
  [6, 22],
] as const)('puzzles of %d × %d have their holes, and the rest obeys the rules', (size, holes) => {
  for (let seed = 0; seed < 20; seed++) {
    const { layout, cells } = makePuzzle(size, holes, random(seed));
    expect(layout).toBe(layouts[size]);
    expect(cells).toHaveLength(size * size);
    expect(cells.filter((digit) => digit === 0)).toHaveLength(holes);
    expect(clashes(layout, cells).size).toBe(0);
    expect(isSolved(layout, cells)).toBe(false);
    expect(countSolutions(layout, cells, 2)).toBe(1);
  }
  const whole = makePuzzle(size, 0, random(1));
  expect(isSolved(whole.layout, whole.cells)).toBe(true);
});

test('boxes are two rows high', () => {
  expect(unitsOf(layouts[6], 0)).toEqual({ row: 0, column: 0, box: 0 });
  expect(unitsOf(layouts[6], 9)).toEqual({ row: 1, column: 3, box: 1 });
  expect(unitsOf(layouts[6], 35)).toEqual({ row: 5, column: 5, box: 5 });
  expect(unitsOf(layouts[4], 10)).toEqual({ row: 2, column: 2, box: 3 });
});

test('digits clash in rows, columns and boxes; holes and nonsense clash with nothing', () => {
  const grid = new Array<number>(16).fill(0);
  const wrong = (...at: number[]) => [
    ...clashes(layouts[4], Object.assign([...grid], Object.fromEntries(at.map((cell) => [cell, 3])))),
  ];
  expect(wrong(0, 3)).toEqual([0, 3]);
  expect(wrong(0, 12)).toEqual([0, 12]);
  expect(wrong(0, 5)).toEqual([0, 5]);
  expect(wrong(0, 6)).toEqual([]);
  expect(clashes(layouts[4], [...grid.slice(2), Number.NaN, Number.NaN]).size).toBe(0);
  const { layout, cells } = makePuzzle(4, 0, random(2));
  expect(isSolved(layout, [5, ...cells.slice(1)])).toBe(false);
});

test('the text is the canvas of 64 bytes that the model was taught', () => {
  for (const [size, holes] of [
    [4, 8],
    [6, 18],
  ] as const) {
    const text = textOf(makePuzzle(size, holes, random(3)), '___');
    const tokens = text.replaceAll('___', '0').replaceAll(/<\|\w+\|>/g, '·');
    // The server adds the last pad.
    expect(tokens).toHaveLength(63);
    expect(text.split('___')).toHaveLength(holes + 1);
    expect(text.startsWith(`Sudoku ${size}x${size}\n`)).toBe(true);
    expect(tokens.split('\n')).toHaveLength(size + 2);
  }
});

test('solutions are counted, up to as many as are asked for', () => {
  const empty = new Array<number>(16).fill(0);
  // All Sudokus of 4 × 4 there are.
  expect(countSolutions(layouts[4], empty, 1000)).toBe(288);
  expect(countSolutions(layouts[4], empty, 2)).toBe(2);
  expect(countSolutions(layouts[4], [1, 1, ...empty.slice(2)], 2)).toBe(0);
});
