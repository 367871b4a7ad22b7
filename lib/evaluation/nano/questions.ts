import { type Draws, pick, shuffled } from './draws';
import { type Grid, makeGrid, type Size } from './grids';

const alphabet = [...'abcdefghijklmnopqrstuvwxyz'];

/** A question with its one answer. */
export interface Task {
  readonly question: string;
  readonly answer: string;
}

/** `What is a+b?` with numbers below 100. */
export function addition(draws: Draws): Task {
  const [a, b] = [draws.below(100), draws.below(100)];
  return { question: `What is ${a}+${b}?`, answer: String(a + b) };
}

/** `What is a-b?` with a ≥ b. */
export function subtraction(draws: Draws): Task {
  const [b, a] = [draws.below(100), draws.below(100)].sort((x, y) => x - y) as [number, number];
  return { question: `What is ${a}-${b}?`, answer: String(a - b) };
}

/** `Sort z k m q`: three to eight different letters. */
export function sorting(draws: Draws): Task {
  const letters = shuffled(draws, alphabet).slice(0, 3 + draws.below(6));
  return { question: `Sort ${letters.join(' ')}`, answer: [...letters].sort().join(' ') };
}

/** `Reverse lantern`: three to nine letters. */
export function reversal(draws: Draws): Task {
  const letters = Array.from({ length: 3 + draws.below(7) }, () => pick(draws, alphabet));
  return { question: `Reverse ${letters.join('')}`, answer: letters.reverse().join('') };
}

/** A grid as the model has seen it, with its title. */
export function sudokuText(size: Size, grid: Grid): string {
  const rows = Array.from({ length: size }, (_, row) => grid.slice(row * size, (row + 1) * size));
  return `Sudoku ${size}x${size}\n${rows.map((row) => `${row.join('')}\n`).join('')}`;
}

const question = (make: (draws: Draws) => Task) => (draws: Draws) => {
  const { question: text, answer } = make(draws);
  return `Question: ${text}\nAnswer: ${answer}`;
};

const sudoku = (size: Size) => (draws: Draws) => sudokuText(size, makeGrid(size, draws));

/** Kinds of training texts with their shares. */
const kinds: readonly (readonly [share: number, make: (draws: Draws) => string])[] = [
  [2, question(addition)],
  [2, question(subtraction)],
  [2, question(sorting)],
  [2, question(reversal)],
  [3, sudoku(4)],
  [9, sudoku(6)],
];

/** A training text. */
export function taskText(draws: Draws): string {
  const total = kinds.reduce((sum, [share]) => sum + share, 0);
  let left = draws.below(total);
  for (const [share, make] of kinds) {
    left -= share;
    if (left < 0) return make(draws);
  }
  throw new Error('unreachable: the shares add up to more than what is drawn');
}
