/**
 * The embedded nano model at work: questions, then a Sudoku. Every answer is checked by its rule.
 * `npm start`, or `npm start -- SEED` for the same tasks again.
 */
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { RND1, type Schedule } from '../lib';
import { addition, type Question, reversal, sorting, subtraction } from './support/questions';
import { Random } from './support/random';
import { type Grid, gridOf, isSolution, linesOf, makePuzzle, templateOf } from './support/sudoku';
import { forwards, sum, watch } from './support/watch';

const holes = 18;
const terminal = process.stdout.isTTY === true && process.env.TERM !== 'dumb';
const coloured = terminal && !process.env.NO_COLOR;
const paint = (code: number, text: string) => (coloured ? `\x1b[${code}m${text}\x1b[0m` : text);
const verdict = (right: boolean) => (right ? paint(32, 'right') : paint(31, 'wrong'));
const print = (text = '') => process.stdout.write(`${text}\n`);

async function main(): Promise<void> {
  const seed = process.argv[2] === undefined ? randomInt(1_000_000) : Number(process.argv[2]);
  if (!Number.isSafeInteger(seed))
    throw new TypeError(`the seed must be an integer, not '${process.argv[2]}'`);
  const random = new Random(seed);
  const model = await RND1.load();
  try {
    await introduce(model, seed);
    const verdicts = [
      ...(await askQuestions(model, random)),
      ...(await solve(model, makePuzzle(random, holes))),
    ];
    const right = verdicts.filter(Boolean).length;
    print(`\n${right} of ${verdicts.length} answers are right.`);
    sayWhatElse();
  } finally {
    await model.dispose();
  }
}

async function introduce({ info, config }: RND1, seed: number): Promise<void> {
  print(`rnd1: the nano model, ${config.model.layers} layers, ${config.model.experts} experts,`);
  print(`on ${info.device} (${info.instructionSet}), ${info.threads} threads, ${info.dtype}.`);
  print('It is of teaching size: 1.84M parameters that know these tasks and nothing else.');
  print(`Tasks of seed ${seed}: \`npm start -- ${seed}\` repeats them.`);
}

/** Every step commits as many tokens as are nearly certain together. */
async function askQuestions(model: RND1, random: Random): Promise<boolean[]> {
  print('\nQuestions, with entropy-bounded steps: what is certain is committed at once\n');
  const questions = [addition, addition, subtraction, subtraction, sorting, sorting, reversal, reversal];
  const verdicts: boolean[] = [];
  for (const { text, check } of questions.map((make): Question => make(random))) {
    const frames = model.denoise(text, { schedule: { type: 'entropy-bounded', gamma: 0.1 } });
    const { result, committed, milliseconds } = await watch(frames);
    const answer = result.text.trim();
    const right = check(answer);
    verdicts.push(right);
    const cost = `${forwards(result.forwards)}: ${sum(committed)} tokens, ${milliseconds.toFixed(0)} ms`;
    print(`  ${text.padEnd(24)} ${answer.padEnd(16)} ${verdict(right)}   ${paint(2, cost)}`);
  }
  return verdicts;
}

/** The same puzzle twice: many cells a step, then one cell a step. */
async function solve(model: RND1, puzzle: Grid): Promise<boolean[]> {
  print(`\nA Sudoku with ${holes} holes: no digit twice in a row, column or box of 2 × 3`);
  const verdicts: boolean[] = [];
  const ways: [string, { schedule: Schedule; steps: number }][] = [
    ['all cells that are 95 % certain', { schedule: { type: 'threshold', tau: 0.95 }, steps: holes }],
    ['one cell a step', { schedule: 'entropy', steps: holes }],
  ];
  for (const [name, options] of ways) {
    print(`\n  ${name}:\n`);
    const start = puzzle.map((digit) => (digit === 0 ? '░' : digit)).join('');
    draw(start.match(/.{6}/g) as string[], puzzle);
    const { result, committed, milliseconds } = await watch(
      model.denoiseFill(templateOf(puzzle), options),
      async (frame) => {
        if (!terminal) return;
        await sleep(2500 / holes);
        draw(linesOf(frame.text), puzzle, true);
      },
    );
    const lines = linesOf(result.text);
    if (!terminal) {
      print();
      draw(lines, puzzle);
    }
    const right = isSolution(gridOf(lines), puzzle);
    verdicts.push(right);
    print(
      `\n  ${verdict(right)}: ${holes} cells in ${forwards(result.forwards)}, ${milliseconds.toFixed(0)} ms`,
    );
    print(paint(2, `  committed by each step: ${sum(committed)}`));
  }
  return verdicts;
}

/** The grid with its boxes; what the model wrote is bright. `again`: over the one before. */
function draw(lines: readonly string[], puzzle: Grid, again = false): void {
  const rows = lines.map((line, row) => {
    const cells = [...line].map((cell, column) => {
      if (cell === '░') return paint(2, cell);
      return puzzle[row * 6 + column] === 0 ? paint(32, cell) : cell;
    });
    return `    ${cells.slice(0, 3).join(' ')} │ ${cells.slice(3).join(' ')}`;
  });
  const ruled = rows.flatMap((row, i) => (i === 2 || i === 4 ? ['    ──────┼──────', row] : [row]));
  if (again) process.stdout.write(`\x1b[${ruled.length}A`);
  print(ruled.join('\n'));
}

function sayWhatElse(): void {
  print('\nMore: `./rnd1 generate --help`, examples/ and README.md.');
  print('RND1 itself, 30B parameters in 61 GB, is fetched by its name:');
  print("  ./rnd1 generate --model radicalnumerics/RND1-Base-0910 'Why is the sky blue?'");
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
