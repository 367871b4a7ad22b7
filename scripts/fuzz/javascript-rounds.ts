/**
 * Tries random inputs on one JavaScript target for some seconds. Each round runs in its own process, which may hang,
 * run out of memory or crash. Findings are written to build-fuzz/javascript. Run by scripts/fuzz.ts.
 *
 *     tsx scripts/fuzz/javascript-rounds.ts TARGET SECONDS SEED
 */
import { fork } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fuzz } from '../../test/fuzz/javascript/target';
import { targets } from '../../test/fuzz/javascript/targets';
import { root } from '../command';

/** Inputs per process. */
const runsPerProcess = 2000;
/** An input that takes longer counts as a hang; long enough for a busy machine. */
const hangSeconds = 120;
/** Time for a hanging process to write a report of where it hangs. */
const reportSeconds = 10;

const folder = join(root, 'build-fuzz', 'javascript');
const lastInput = (name: string) => join(folder, `${name.replaceAll(' ', '-')}.last.json`);
const text = (value: unknown) => JSON.stringify(value) ?? 'undefined';

interface Outcome {
  readonly runs: number;
  readonly finding: string | null;
}

/** @returns whether nothing was found */
async function rounds(name: string, seconds: number, first: number): Promise<boolean> {
  mkdirSync(folder, { recursive: true });
  const end = performance.now() + seconds * 1000;
  let tried = 0;
  let good = true;
  for (let seed = first; performance.now() < end; seed++) {
    const { runs, finding } = await round(name, seed, Math.max(1, end - performance.now()));
    tried += runs;
    if (finding === null) continue;
    good = false;
    const file = join(folder, `finding-${name.replaceAll(' ', '-')}-${seed}.json`);
    writeFileSync(file, finding);
    console.log(`seed ${seed}, ${file}:\n${JSON.parse(finding).error}\n${finding.slice(0, 500)}`);
  }
  console.log(`${tried} inputs`);
  return good;
}

function round(name: string, seed: number, milliseconds: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = fork(__filename, [name, String(milliseconds / 1000), String(seed)], {
      execArgv: [
        ...process.execArgv,
        '--max-old-space-size=2000',
        ...['--report-on-signal', `--report-directory=${folder}`, `--report-filename=hang-${seed}.json`],
      ],
    });
    let outcome: Outcome | null = null;
    let hung = false;
    const kill = () => {
      hung = true;
      child.kill('SIGUSR2');
      watch = setTimeout(() => child.kill('SIGKILL'), reportSeconds * 1000);
    };
    let watch = setTimeout(kill, hangSeconds * 1000);
    child.on('message', (message: Outcome | 'alive') => {
      if (hung) return;
      clearTimeout(watch);
      watch = setTimeout(kill, hangSeconds * 1000);
      if (message !== 'alive') outcome = message;
    });
    child.on('exit', (code, signal) => {
      clearTimeout(watch);
      const error = hung
        ? `no answer within ${hangSeconds} s, see hang-${seed}.json`
        : `ended by ${signal ?? `exit code ${code}`}`;
      resolve(outcome ?? { runs: 0, finding: text({ target: name, seed, error, input: readLast(name) }) });
    });
  });
}

function readLast(name: string): unknown {
  try {
    return JSON.parse(readFileSync(lastInput(name), 'utf8'));
  } catch {
    return null;
  }
}

/** The child's side of `round`. */
async function tryInputs(name: string, seconds: number, seed: number): Promise<void> {
  const target = targets.find((candidate) => candidate.name === name);
  if (target === undefined) throw new Error(`no target ${name}`);
  let told = 0;
  const { runs, finding } = await fuzz(target, {
    seed,
    runs: runsPerProcess,
    end: performance.now() + seconds * 1000,
    before(input) {
      writeFileSync(lastInput(name), text(input));
      if (performance.now() < told + 1000) return;
      told = performance.now();
      process.send?.('alive');
    },
  });
  const said =
    finding && text({ ...finding, error: String((finding.error as Error)?.stack ?? finding.error) });
  process.send?.({ runs, finding: said }, () => process.exit(0));
}

const [name = '', seconds, seed] = process.argv.slice(2);
if (process.send) void tryInputs(name, Number(seconds), Number(seed));
else
  void rounds(name, Number(seconds), Number(seed)).then((good) => {
    process.exitCode = good ? 0 : 1;
  });
