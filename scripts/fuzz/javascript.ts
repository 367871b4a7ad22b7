import { fork } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fuzz } from '../../test/fuzz/javascript/target';
import { targets } from '../../test/fuzz/javascript/targets';
import { root } from '../command';

/** Inputs that one process tries before the next one begins afresh. */
const runsPerProcess = 2000;
/** An input that takes longer has hung what it was given to. */
const hangSeconds = 30;

const folder = join(root, 'build-fuzz', 'javascript');
const lastInput = (name: string) => join(folder, `${name.replaceAll(' ', '-')}.last.json`);
const text = (value: unknown) =>
  JSON.stringify(value, (_key, inner) => (typeof inner === 'bigint' ? String(inner) : inner)) ?? 'undefined';

/**
 * Tries new inputs on every JavaScript target in turns until `minutes` are over. Findings lie in build-fuzz/javascript.
 *
 * @returns how many findings there were
 */
export async function fuzzJavaScript(minutes: number, chosen: readonly string[] = []): Promise<number> {
  mkdirSync(folder, { recursive: true });
  const end = performance.now() + minutes * 60_000;
  const wanted = targets.filter(({ name }) => chosen.length === 0 || chosen.includes(name));
  if (wanted.length === 0)
    throw new RangeError(`no such target; there are: ${targets.map(({ name }) => name).join(', ')}`);
  const tried = new Map<string, number>();
  let findings = 0;
  for (let seed = Math.floor(Math.random() * 2 ** 30); performance.now() < end; seed++) {
    for (const { name } of wanted) {
      if (performance.now() >= end) break;
      const { runs, finding } = await inProcess(name, seed, Math.max(1, end - performance.now()));
      tried.set(name, (tried.get(name) ?? 0) + runs);
      if (finding === null) continue;
      findings += 1;
      const file = join(folder, `finding-${name.replaceAll(' ', '-')}-${seed}.json`);
      writeFileSync(file, finding);
      process.stdout.write(`FINDING in ${name}, seed ${seed}: ${file}\n${finding.slice(0, 1000)}\n`);
    }
  }
  for (const [name, runs] of tried) process.stdout.write(`${name}: ${runs} inputs\n`);
  return findings;
}

interface Outcome {
  readonly runs: number;
  readonly finding: string | null;
}

/** One round in a process of its own, which may hang, run out of memory or die. */
function inProcess(name: string, seed: number, milliseconds: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = fork(__filename, [name, String(seed), String(milliseconds)], {
      execArgv: [...process.execArgv, '--max-old-space-size=2000'],
    });
    let outcome: Outcome | null = null;
    let hung = false;
    const kill = () => {
      hung = true;
      child.kill('SIGKILL');
    };
    let watch = setTimeout(kill, hangSeconds * 1000);
    child.on('message', (message: Outcome | 'alive') => {
      clearTimeout(watch);
      watch = setTimeout(kill, hangSeconds * 1000);
      if (message !== 'alive') outcome = message;
    });
    child.on('exit', (code, signal) => {
      clearTimeout(watch);
      const ended = hung ? `no answer within ${hangSeconds} s` : `ended by ${signal ?? `exit code ${code}`}`;
      resolve(
        outcome ?? { runs: 0, finding: text({ target: name, seed, error: ended, input: readLast(name) }) },
      );
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

async function child(name: string, seed: number, milliseconds: number): Promise<void> {
  const target = targets.find((candidate) => candidate.name === name);
  if (target === undefined) throw new Error(`no target ${name}`);
  const end = performance.now() + milliseconds;
  let told = 0;
  const { runs, finding } = await fuzz(target, {
    seed,
    runs: runsPerProcess,
    end,
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

const [name, seed, milliseconds] = process.argv.slice(2);
if (process.send !== undefined && name !== undefined) void child(name, Number(seed), Number(milliseconds));
