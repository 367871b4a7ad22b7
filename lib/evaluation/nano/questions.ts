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

const promptOf = ({ question }: Task) => `Question: ${question}\nAnswer:`;

const question = (make: (draws: Draws) => Task) => (draws: Draws) => {
  const task = make(draws);
  return `${promptOf(task)} ${task.answer}`;
};

const sudoku = (size: Size) => (draws: Draws) => sudokuText(size, makeGrid(size, draws));

/** Kinds of things with their shares. */
type Shares<T> = readonly (readonly [share: number, make: (draws: Draws) => T])[];

const textKinds: Shares<string> = [
  [2, question(addition)],
  [2, question(subtraction)],
  [2, question(sorting)],
  [2, question(reversal)],
  [3, sudoku(4)],
  [9, sudoku(6)],
];

/** Shares of the kinds of questions whose answers alone are learned. */
export type QuestionShares = Shares<Task>;

export const questionShares: QuestionShares = [
  [6, addition],
  [6, subtraction],
  [4, sorting],
  [2, reversal],
];

/** For the end of training: rare differences, such as `86-86`, are learned last. */
export const lastQuestionShares: QuestionShares = [
  [3, addition],
  [9, subtraction],
  [3, sorting],
  [2, reversal],
];

/** A training text: a question with its answer, or a grid. */
export const taskText = (draws: Draws): string => drawn(textKinds, draws);

/** A question whose answer alone is learned: a prompt, and what follows it. */
export function answeredQuestion(
  draws: Draws,
  shares: QuestionShares,
): { readonly prompt: string; readonly completion: string } {
  const task = drawn(shares, draws);
  return { prompt: promptOf(task), completion: ` ${task.answer}` };
}

function drawn<T>(kinds: Shares<T>, draws: Draws): T {
  const total = kinds.reduce((sum, [share]) => sum + share, 0);
  let left = draws.below(total);
  for (const [share, make] of kinds) {
    left -= share;
    if (left < 0) return make(draws);
  }
  throw new Error('unreachable: the shares add up to more than what is drawn');
}
