import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '../../examples/support/random';
import { DiffusionLM } from '../../lib';
import { isSolution, makeGrid } from '../../lib/evaluation/nano/grids';
import { taskText } from '../../lib/evaluation/nano/questions';
import { root, start } from '../lib/cli/rnd1';

/** A copy with another digit. */
const changed = (grid: readonly number[], cell: number, digit: number) =>
  grid.map((each, i) => (i === cell ? digit : each));

test.each([4, 6] as const)('grids of %d obey the rules', (size) => {
  const random = new Random(1);
  const holes = new Array<number>(size * size).fill(0);
  for (let i = 0; i < 50; i++) {
    const grid = makeGrid(size, random);
    expect(isSolution(size, grid, holes)).toBe(true);
    expect(isSolution(size, changed(grid, 3, grid[2] as number), holes)).toBe(false);
    expect(isSolution(size, grid, changed(holes, 0, ((grid[0] as number) % size) + 1))).toBe(false);
    expect(isSolution(size, grid.slice(1), holes)).toBe(false);
  }
});

test('texts are the tasks that nano knows', () => {
  const random = new Random(1);
  const kinds = [
    /^Question: What is \d{1,2}[+-]\d{1,2}\?\nAnswer: \d{1,3}$/,
    /^Question: Sort [a-z]( [a-z]){2,7}\nAnswer: [a-z]( [a-z]){2,7}$/,
    /^Question: Reverse [a-z]{3,9}\nAnswer: [a-z]{3,9}$/,
    /^Sudoku 4x4\n([1-4]{4}\n){4}$/,
    /^Sudoku 6x6\n([1-6]{6}\n){6}$/,
  ];
  const counts = kinds.map(() => 0);
  for (let i = 0; i < 2000; i++) {
    const text = taskText(random);
    const kind = kinds.findIndex((each) => each.test(text));
    expect({ text, known: kind >= 0 && text.length < 64 }).toEqual({ text, known: true });
    counts[kind] = (counts[kind] as number) + 1;
  }
  expect(Math.min(...counts)).toBeGreaterThan(100);
});

test('a run from nothing to the table, in few steps', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rnd1-nano-'));
  try {
    const flags = [
      '--canvases',
      '200',
      '--ar-steps',
      '2',
      '--steps',
      '2',
      '--last-steps',
      '2',
      '--cases',
      '1',
    ];
    const run = () => start('npx', ['tsx', 'models/nano-training/run.ts', folder, ...flags], { cwd: root });
    const first = await run();
    expect({ code: first.code, error: first.stderr.replaceAll(/^.*: step .*\n/gm, '') }).toEqual({
      code: 0,
      error: '',
    });
    const table = JSON.parse(readFileSync(join(folder, 'accuracy.json'), 'utf8'));
    expect(table).toHaveLength(16);
    await using model = await DiffusionLM.load({ model: join(folder, 'last', 'checkpoint-2') });
    const nano = await DiffusionLM.load();
    expect(model.config.architecture).toEqual(nano.config.architecture);
    expect(model.config.tokens).toEqual(nano.config.tokens);
    await nano.dispose();
    // Everything is there: only the table is made again.
    expect((await run()).stdout).toBe(first.stdout);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 120_000);
