import type { Random } from '../../examples/support/random';
import { type Grid, makeGrid, type Size } from './grids';

const alphabet = [...'abcdefghijklmnopqrstuvwxyz'];

/** A question with its one answer. */
export interface Task {
  readonly question: string;
  readonly answer: string;
}

/** `What is a+b?` with numbers below 100. */
export function addition(random: Random): Task {
  const [a, b] = [random.below(100), random.below(100)];
  return { question: `What is ${a}+${b}?`, answer: String(a + b) };
}

/** `What is a-b?` with a ≥ b. */
export function subtraction(random: Random): Task {
  const [b, a] = [random.below(100), random.below(100)].sort((x, y) => x - y) as [number, number];
  return { question: `What is ${a}-${b}?`, answer: String(a - b) };
}

/** `Sort z k m q`: three to eight different letters. */
export function sorting(random: Random): Task {
  const letters = random.shuffle(alphabet).slice(0, 3 + random.below(6));
  return { question: `Sort ${letters.join(' ')}`, answer: [...letters].sort().join(' ') };
}

/** `Reverse lantern`: three to nine letters. */
export function reversal(random: Random): Task {
  const letters = Array.from({ length: 3 + random.below(7) }, () => random.pick(alphabet));
  return { question: `Reverse ${letters.join('')}`, answer: letters.reverse().join('') };
}

/** A grid as the model has seen it, with its title. */
export function sudokuText(size: Size, grid: Grid): string {
  const rows = Array.from({ length: size }, (_, row) => grid.slice(row * size, (row + 1) * size));
  return `Sudoku ${size}x${size}\n${rows.map((row) => `${row.join('')}\n`).join('')}`;
}

const question = (make: (random: Random) => Task) => (random: Random) => {
  const { question: text, answer } = make(random);
  return `Question: ${text}\nAnswer: ${answer}`;
};

const sudoku = (size: Size) => (random: Random) => sudokuText(size, makeGrid(size, random));

/** Kinds of training texts with their shares. */
const kinds: readonly (readonly [share: number, make: (random: Random) => string])[] = [
  [2, question(addition)],
  [2, question(subtraction)],
  [2, question(sorting)],
  [2, question(reversal)],
  [3, sudoku(4)],
  [9, sudoku(6)],
];

/** A training text. */
export function taskText(random: Random): string {
  const total = kinds.reduce((sum, [share]) => sum + share, 0);
  let left = random.below(total);
  for (const [share, make] of kinds) {
    left -= share;
    if (left < 0) return make(random);
  }
  throw new Error('unreachable: the shares add up to more than what is drawn');
}
