import { DiffusionLM } from '../../lib';
import { evaluate } from '../../lib/evaluation';

/** How often the model is right. */
export interface Accuracy {
  readonly task: string;
  readonly steps: number;
  readonly right: number;
  readonly cases: number;
}

/** Tasks of `rnd1 eval`, and the numbers of steps with which they are asked. */
const asked = [
  ['nano_add', [16]],
  ['nano_subtract', [16]],
  ['nano_sort', [16]],
  ['nano_reverse', [16]],
  ['nano_sudoku_4x4', [8, 4, 2, 1]],
  ['nano_sudoku_6x6', [18, 9, 4, 1]],
  ['nano_sudoku_6x6_hard', [24, 12, 6, 1]],
] as const;

/** How `measureAccuracy` measures. */
export interface AccuracyOptions {
  /** Documents of each task. @default all 200 */
  readonly cases?: number;
  /** Called for each row. */
  readonly onRow?: (row: Accuracy) => void;
}

/** The table of nano's README: greedy, by entropy, in f32, on documents that are in no training text's seeds. */
export async function measureAccuracy(
  folder: string,
  { cases, onRow }: AccuracyOptions = {},
): Promise<Accuracy[]> {
  await using model = await DiffusionLM.load({ model: folder, dtype: 'f32' });
  const rows: Accuracy[] = [];
  for (const [task, counts] of asked)
    for (const steps of counts) {
      const generation = { maxNewTokens: 32, steps };
      const [evaluated] = await evaluate(model, { tasks: [task], limit: cases, generation });
      const documents = evaluated?.documents ?? [];
      const right = documents.filter(({ filters }) => filters.none?.scores.exact_match === 1).length;
      const row = { task, steps, right, cases: documents.length };
      rows.push(row);
      onRow?.(row);
    }
  return rows;
}
