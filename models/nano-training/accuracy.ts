import { Random } from '../../examples/support/random';
import { DiffusionLM, type Template } from '../../lib';
import { type Grid, isSolution, makeGrid, type Size } from '../../lib/evaluation/nano/grids';
import {
  addition,
  reversal,
  sorting,
  subtraction,
  sudokuText,
  type Task,
} from '../../lib/evaluation/nano/questions';

/** How often the model is right. */
export interface Accuracy {
  readonly task: string;
  readonly steps: number;
  readonly right: number;
  readonly cases: number;
}

const questions = { add: addition, subtract: subtraction, sort: sorting, reverse: reversal };
const sudokus: readonly (readonly [size: Size, holes: number, steps: readonly number[]])[] = [
  [4, 8, [8, 4, 2, 1]],
  [6, 18, [18, 9, 4, 1]],
  [6, 24, [24, 12, 6, 1]],
];

/** Concurrent cases share forward passes. */
const together = 20;

/** The table of the README: greedy, by entropy, in f32, on cases of a seed that training does not use. */
export async function measureAccuracy(
  folder: string,
  { cases = 200, seed = 2 ** 31, onRow = () => {} }: AccuracyOptions = {},
): Promise<Accuracy[]> {
  await using model = await DiffusionLM.load({ model: folder, dtype: 'f32' });
  const rows: Accuracy[] = [];
  const add = (row: Accuracy) => {
    rows.push(row);
    onRow(row);
  };
  for (const [task, make] of Object.entries(questions)) {
    const random = new Random(seed);
    const list = Array.from({ length: cases }, () => make(random));
    add({ task, steps: 16, right: await count(list, (each) => answers(model, each)), cases });
  }
  for (const [size, holes, counts] of sudokus)
    for (const steps of counts) {
      const random = new Random(seed);
      const list = Array.from({ length: cases }, () => puzzle(size, holes, random));
      const right = await count(list, (each) => solves(model, size, each, steps));
      add({ task: `${size}x${size} Sudoku, ${holes} holes`, steps, right, cases });
    }
  return rows;
}

/** How `measureAccuracy` measures. */
export interface AccuracyOptions {
  readonly cases?: number;
  readonly seed?: number;
  /** Called for each row. */
  readonly onRow?: (row: Accuracy) => void;
}

async function count<T>(list: readonly T[], isRight: (each: T) => Promise<boolean>): Promise<number> {
  let right = 0;
  for (let i = 0; i < list.length; i += together) {
    const found = await Promise.all(list.slice(i, i + together).map(isRight));
    right += found.filter(Boolean).length;
  }
  return right;
}

async function answers(model: DiffusionLM, { question, answer }: Task): Promise<boolean> {
  const { text } = await model.generate(question, { maxNewTokens: 32, steps: 16 });
  return text.trim() === answer;
}

function puzzle(size: Size, holes: number, random: Random): Grid {
  const grid = [...makeGrid(size, random)];
  for (const cell of random.shuffle(grid.map((_, cell) => cell)).slice(0, holes)) grid[cell] = 0;
  return grid;
}

async function solves(model: DiffusionLM, size: Size, cells: Grid, steps: number): Promise<boolean> {
  const text = sudokuText(size, cells);
  const title = text.indexOf('\n') + 1;
  const pieces = [...text.slice(title)].map((character) => (character === '0' ? { length: 1 } : character));
  // `fill` adds the last pad.
  const pads = '<|endoftext|>'.repeat(64 - text.length - 2);
  const template: Template = [text.slice(0, title), ...pieces, '<|im_end|>', pads];
  const { text: filled } = await model.fill(template, { steps });
  const digits = filled
    .slice(title)
    .split('\n')
    .slice(0, size)
    .flatMap((row) => [...row].map(Number));
  return isSolution(size, digits, cells);
}
