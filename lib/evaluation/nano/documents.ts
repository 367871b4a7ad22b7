import { PythonRandom } from '../python/random';
import type { DataSplit, EvaluationDocument } from '../tasks/definition';
import { type Draws, shuffled } from './draws';
import { makeGrid, type Size } from './grids';
import { addition, reversal, sorting, subtraction } from './questions';

/** The name under which the documents are found. They are made, not read. */
export const nanoRepository = 'rnd1/nano';

/** Documents of each configuration. */
const count = 200;

/** Training draws by other generators. */
const firstSeed = 2 ** 31;

const questions = { add: addition, subtract: subtraction, sort: sorting, reverse: reversal };

const sudokus = {
  sudoku_4x4: { size: 4, holes: 8 },
  sudoku_6x6: { size: 6, holes: 18 },
  sudoku_6x6_hard: { size: 6, holes: 24 },
} as const;

/** Configurations with questions. */
export const nanoQuestions = Object.keys(questions) as (keyof typeof questions)[];

/** Configurations with grids. */
export const nanoSudokus = Object.keys(sudokus) as (keyof typeof sudokus)[];

/** The documents of a configuration, always the same; undefined for another data set. */
export function nanoDocuments({
  repositories,
  config,
}: DataSplit): readonly EvaluationDocument[] | undefined {
  if (!repositories.includes(nanoRepository)) return undefined;
  const question = questions[config as keyof typeof questions];
  const sudoku = sudokus[config as keyof typeof sudokus];
  const all: readonly string[] = [...nanoQuestions, ...nanoSudokus];
  const draws = new PythonRandom(firstSeed + all.indexOf(config));
  if (question !== undefined) return Array.from({ length: count }, () => ({ ...question(draws) }));
  if (sudoku !== undefined)
    return Array.from({ length: count }, () => puzzle(sudoku.size, sudoku.holes, draws));
  return undefined;
}

/** A grid as a string of digits, in which 0 is a hole. */
function puzzle(size: Size, holes: number, draws: Draws): EvaluationDocument {
  const grid = [...makeGrid(size, draws)];
  const cells = shuffled(
    draws,
    grid.map((_, cell) => cell),
  );
  for (const cell of cells.slice(0, holes)) grid[cell] = 0;
  return { size, cells: grid.join('') };
}
