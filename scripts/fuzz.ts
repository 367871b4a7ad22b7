/**
 * Fuzzes all targets of each kind: `native` is guided by coverage (libFuzzer), `javascript` generates inputs that are
 * difficult for parsers (fast-check).
 *
 *     tsx scripts/fuzz.ts [native | javascript] [--seconds N | --minutes N] [--target NAME] [--seed N]
 *
 * As many targets run at once as there are cores. --seconds: for each target, 20 by default; --minutes: for all targets
 * of a kind together. Without a kind, all run.
 * Findings are written to the kind's build folder, and their paths printed; inputs that reach new code are kept there
 * too, as the start of the next run. --seed: repeats the same inputs, as far as the time allows; random by default.
 */
import { randomInt } from 'node:crypto';
import { parseArgs } from 'node:util';
import { forEachAtOnce } from './at-once';
import { BuildError, say } from './command';
import { javascriptFuzzing } from './fuzz/javascript';
import { nativeFuzzing } from './fuzz/native';

/** One fuzz target. */
export interface FuzzTarget {
  readonly name: string;
  /** @returns what it printed, and whether nothing was found */
  run(seconds: number, seed: number): Promise<{ readonly output: string; readonly good: boolean }>;
}

export interface FuzzKind {
  readonly name: string;
  /** The reason why it cannot run here; null if it can. */
  unavailable(): string | null;
  /** Builds the programs if needed. */
  targets(): readonly FuzzTarget[];
}

const kinds: readonly FuzzKind[] = [nativeFuzzing, javascriptFuzzing];

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: 'string' },
      minutes: { type: 'string' },
      target: { type: 'string' },
      seed: { type: 'string' },
    },
  });
  const unknown = positionals.find((name) => !kinds.some((kind) => kind.name === name));
  if (unknown !== undefined)
    throw new BuildError(`There is no kind ${unknown}, only ${kinds.map(({ name }) => name).join(', ')}.`);
  const seed = Number(values.seed ?? randomInt(1, 2 ** 30));
  if (!(Number.isInteger(seed) && seed >= 1 && seed < 2 ** 31))
    throw new BuildError('--seed must be a whole number from 1 to 2147483647.');
  for (const kind of kinds) {
    if (positionals.length > 0 && !positionals.includes(kind.name)) continue;
    const reason = kind.unavailable();
    if (reason !== null) {
      console.log(`SKIPPED: ${kind.name}: ${reason}`);
      continue;
    }
    const targets = kind.targets().filter(({ name }) => (values.target ?? name) === name);
    if (targets.length === 0) throw new BuildError(`${kind.name} has no target ${values.target}.`);
    const seconds =
      values.minutes === undefined
        ? Number(values.seconds ?? 20)
        : (Number(values.minutes) * 60) / targets.length;
    if (!(seconds >= 1))
      throw new BuildError('--seconds and --minutes must be numbers, at least a second each.');
    await forEachAtOnce(targets, async (target) => {
      const { output, good } = await target.run(Math.round(seconds), seed);
      console.log(
        `${output}${kind.name} ${target.name}: ${good ? 'nothing found' : 'FOUND something, see above'}`,
      );
      if (!good) process.exitCode = 1;
    });
  }
}

if (require.main === module) {
  main().catch((error: unknown) => {
    if (!(error instanceof Error)) throw error;
    say(error.message);
    process.exitCode = 1;
  });
}
