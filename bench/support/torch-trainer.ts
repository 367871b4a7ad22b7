import { type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { root } from '../../scripts/command';

/** One training step of PyTorch: seconds, and the loss before the step. */
export interface TorchStep {
  readonly seconds: number;
  readonly forward: number;
  readonly backward: number;
  readonly optimizer: number;
  readonly loss: number;
}

/** PyTorch in a process of its own, which trains one step for each line that it is sent. */
export class TorchTrainer {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /**
   * @param settings a file of JSON: `folder` of the checkpoint, `threads`, `length`, `batch`
   * @returns null if this Python has no PyTorch
   */
  static open(python: string, settings: string): TorchTrainer | null {
    if (spawnSync(python, ['-c', 'import torch'], { stdio: 'ignore' }).status !== 0) return null;
    const script = join(root, 'bench', 'peers', 'train.py');
    return new TorchTrainer(spawn(python, [script, settings], { stdio: ['pipe', 'pipe', 'inherit'] }));
  }

  /** Version of PyTorch and its BLAS. */
  async version(): Promise<string> {
    return (await this.#read()) as unknown as string;
  }

  async step(): Promise<TorchStep> {
    this.#child.stdin.write('step\n');
    return this.#read();
  }

  async close(): Promise<void> {
    const ended = this.#child.exitCode === null ? once(this.#child, 'exit') : undefined;
    this.#child.stdin.end();
    await ended;
  }

  async #read(): Promise<TorchStep> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('bench/peers/train.py ended early: see above.');
    return JSON.parse(value) as TorchStep;
  }
}
