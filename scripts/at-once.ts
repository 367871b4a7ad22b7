/** Programs side by side, as many as there are cores. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { text } from 'node:stream/consumers';
import { root } from './command';

/** How a program ended. */
export interface Ending {
  /** The signal or the exit code; null for exit code 0. */
  readonly failure: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program in the checkout to its end. Rejects if it cannot be started. */
export async function runProgram(
  program: string,
  args: readonly string[],
  env = process.env,
): Promise<Ending> {
  const child = spawn(program, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, failure] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close').then(([code, signal]) => (code === 0 ? null : (signal ?? `exit code ${code}`))),
  ]);
  return { failure, stdout, stderr };
}

/** Calls `work` with every item, in order, with as many at once as there are cores. */
export async function forEachAtOnce<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values();
  const worker = async () => {
    for (const item of waiting) await work(item);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}
