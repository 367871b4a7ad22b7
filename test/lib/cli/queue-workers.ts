import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { root } from './rnd1';

const main = join(root, 'dist', 'cli', 'main.js');
const running = new Set<ChildProcess>();

/** Counts a process among those that `stopWorkers` ends. */
export function addWorker(child: ChildProcess): ChildProcess {
  running.add(child);
  child.on('exit', () => running.delete(child));
  return child;
}

/** Starts a worker, whose output is dropped. */
export function startWorker(url: string, queue: string, ...flags: readonly string[]): ChildProcess {
  const own = ['worker', '--queue', url, '--queue-name', queue, '--threads', '1', ...flags];
  return addWorker(spawn(process.execPath, [main, ...own], { stdio: 'ignore' }));
}

/** Kills all workers, and waits for their ends. */
export async function stopWorkers(): Promise<void> {
  const ended = [...running].map((child) => new Promise((resolve) => child.once('exit', resolve)));
  for (const child of running) child.kill('SIGKILL');
  await Promise.all(ended);
}
