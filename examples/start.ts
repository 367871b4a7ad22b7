/**
 * Demonstrates the embedded nano model: questions, then a Sudoku. Every answer is checked by its rule.
 * `npm start`, or `npm start -- SEED` to repeat the same tasks.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { DiffusionLM, type SamplingOptions } from '../lib';
import { boardOf } from './support/board';
import { addition, reversal, sorting, subtraction } from './support/questions';
import { Random } from './support/random';
import { type Grid, gridOf, isSolution, linesOf, makePuzzle, templateOf } from './support/sudoku';
import { forwards, watch } from './support/watch';

const holes = 18;
/** Commits all tokens with at least this probability at once: as accurate as one per step, in far fewer passes. */
const certain = { schedule: { type: 'threshold', tau: 0.99 } } as const;
const terminal = process.stdout.isTTY === true && process.env.TERM !== 'dumb';
const coloured = terminal && !process.env.NO_COLOR;
const paint = (code: number, text: string) => (coloured ? `\x1b[${code}m${text}\x1b[0m` : text);
const verdict = (right: boolean) => (right ? paint(32, 'right') : paint(31, 'wrong'));
const timeOf = (milliseconds: number) =>
  milliseconds < 999.5 ? `${milliseconds.toFixed(0)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
const print = (text = '') => process.stdout.write(`${text}\n`);

async function main(): Promise<void> {
  const seed = process.argv[2] === undefined ? randomInt(1_000_000) : Number(process.argv[2]);
  if (!Number.isSafeInteger(seed))
    throw new TypeError(`the seed must be an integer, not '${process.argv[2]}'`);
  const random = new Random(seed);
  const model = await DiffusionLM.load();
  const { device, instructionSet, threads, dtype } = model.info;
  print('rnd1: the embedded nano model, a tiny one trained for these tasks only,');
  print(
    `on ${device} (${instructionSet}), ${threads} threads, ${dtype}. \`npm start -- ${seed}\` repeats them.\n`,
  );
  try {
    const verdicts = [
      ...(await askQuestions(model, random)),
      ...(await solve(model, makePuzzle(random, holes))),
    ];
    const right = verdicts.filter(Boolean).length;
    print(`\n${right} of ${verdicts.length} answers are right. More: \`./rnd1 --help\`.`);
    print('RND1 itself, of 61 GB:');
    print("  ./rnd1 generate --model radicalnumerics/RND1-Base-0910 'Why is the sky blue?'");
  } finally {
    await model.dispose();
  }
}

async function askQuestions(model: DiffusionLM, random: Random): Promise<boolean[]> {
  const verdicts: boolean[] = [];
  for (const make of [addition, subtraction, sorting, reversal]) {
    const { text, check } = make(random);
    const { result, committed, milliseconds } = await watch(model.denoise(text, certain));
    const answer = result.text.trim();
    const right = check(answer);
    verdicts.push(right);
    const tokens = committed.reduce((total, count) => total + count, 0);
    const cost = `${tokens} tokens in ${forwards(result.forwards)}, ${timeOf(milliseconds)}`;
    print(`  ${text.padEnd(22)}${answer.padEnd(17)}${verdict(right)}  ${paint(2, cost)}`);
  }
  return verdicts;
}

/** Solves the same puzzle twice and shows both side by side: many cells per step, and one cell per step. */
async function solve(model: DiffusionLM, puzzle: Grid): Promise<boolean[]> {
  print(`\n${inColumns('  A Sudoku', 'all that are 99 % certain', 'one cell per step')}\n`);
  const runs = [await fill(model, puzzle, certain), await fill(model, puzzle, { schedule: 'entropy' })];
  const last = Math.max(...runs.map(({ states }) => states.length)) - 1;
  for (let i = terminal ? 0 : last; i <= last; i++) {
    const now = runs.map(({ states }) => states[Math.min(i, states.length - 1)] as string[]);
    draw([runs[0]?.states[0] as string[], ...now], puzzle, terminal && i > 0);
    if (i < last) await sleep(2500 / holes);
  }
  const rights = runs.map(({ states }) => isSolution(gridOf(states.at(-1) as string[]), puzzle));
  const told = runs.map(({ result, milliseconds }, i) => {
    const cost = `${forwards(result.forwards)}: ${timeOf(milliseconds)}`.padEnd(19);
    return `${verdict(rights[i] as boolean)}  ${paint(2, cost)}`;
  });
  print(`\n${inColumns('', ...told).trimEnd()}`);
  return rights;
}

/** Runs one solution and records the lines of its grid after each step. */
async function fill(model: DiffusionLM, puzzle: Grid, options: SamplingOptions) {
  const states = [
    puzzle
      .map((digit) => (digit === 0 ? '░' : digit))
      .join('')
      .match(/.{6}/g) as string[],
  ];
  const frames = model.denoiseFill(templateOf(puzzle), { ...options, steps: holes });
  const run = await watch(frames, ({ text }) => void states.push(linesOf(text)));
  return { ...run, states };
}

/** Prints boards side by side. `again`: overwrites the previous ones. */
function draw(boards: readonly string[][], puzzle: Grid, again: boolean): void {
  const drawn = boards.map((lines) => boardOf(lines, puzzle, paint));
  const height = drawn[0]?.length ?? 0;
  if (again) process.stdout.write(`\x1b[${height}A`);
  for (let i = 0; i < height; i++) print(`  ${drawn.map((lines) => lines[i]).join(' '.repeat(13))}`);
}

/** Aligns three texts with the boards. Coloured texts must be padded to 26 columns already. */
const inColumns = (first: string, second = '', third = '') =>
  `${first.padEnd(28)}${second.padEnd(26)}${third}`;

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
