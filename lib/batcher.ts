import type { AbortFlag, StepCanvas, StepResult } from '../types/native';
import { fromNative, RND1Error } from './errors';
import { FairLine, type InLine } from './fair-line';
import { ownerOf } from './owners';
import type { StepReport } from './types';

/**
 * Rows, that is tokens of all canvases, of one native step at most. It bounds the workspace and the time that a
 * new canvas waits; beyond some thousand rows weights are reused so often that more gains nothing. A canvas that
 * is longer goes alone.
 */
export const maxRowsPerStep = 4096;

/** What the batcher needs of a native session. */
export interface StepSession {
  step(canvases: readonly StepCanvas[], abort: AbortFlag | null): Promise<StepResult[]>;
}

export interface BatcherOptions {
  /** @default maxRowsPerStep */
  readonly maxRows?: number;
  /** Called after every native step that ended well. */
  readonly onStep?: (report: StepReport) => void;
}

/** Makes the flag that native code polls. */
export type MakeAbortFlag = () => AbortFlag;

interface Request extends InLine {
  readonly canvas: StepCanvas;
  resolve(result: StepResult): void;
  reject(reason: unknown): void;
  /** Aborted or disposed: nobody waits for the result any more. */
  settled: boolean;
}

/**
 * Packs the canvases of many calls into shared native steps. What waits while the session is idle goes out together;
 * one native step runs at a time. Where not all have room in a step, owners (`setOwner`) take turns by the rows that
 * they had, and the canvases of an owner one after another: who had a step stands at the end of the line for the next.
 */
export class Batcher {
  readonly #session: StepSession;
  readonly #makeFlag: MakeAbortFlag;
  readonly #maxRows: number;
  readonly #onStep: (report: StepReport) => void;
  readonly #waiting = new FairLine<Request>();
  #running: { readonly requests: readonly Request[]; readonly flag: AbortFlag } | null = null;
  #scheduled = false;
  #disposed = false;

  constructor(session: StepSession, makeFlag: MakeAbortFlag, options: BatcherOptions = {}) {
    this.#session = session;
    this.#makeFlag = makeFlag;
    this.#maxRows = options.maxRows ?? maxRowsPerStep;
    this.#onStep = options.onStep ?? (() => {});
  }

  /**
   * One step of one canvas. Aborting rejects with `signal.reason` at once and leaves the other canvases alone:
   * the native step itself is only aborted when nobody waits for any of its canvases any more.
   */
  step(canvas: StepCanvas, signal?: AbortSignal): Promise<StepResult> {
    return new Promise((resolve, reject) => {
      if (this.#disposed) throw disposed();
      signal?.throwIfAborted();
      const onAbort = () => this.#drop(request, signal?.reason);
      const settle = () => {
        request.settled = true;
        signal?.removeEventListener('abort', onAbort);
      };
      const request: Request = {
        canvas,
        owner: ownerOf(signal),
        size: canvas.tokens.length,
        settled: false,
        resolve(result) {
          settle();
          resolve(result);
        },
        reject(reason) {
          settle();
          reject(reason);
        },
      };
      signal?.addEventListener('abort', onAbort);
      this.#waiting.add(request);
      this.#schedule();
    });
  }

  /** Rejects everything that waits or runs with `disposed`, and whatever comes later. */
  dispose(): void {
    this.#disposed = true;
    const pending = [...this.#waiting.items, ...(this.#running?.requests ?? [])];
    for (const request of pending) if (!request.settled) this.#drop(request, disposed());
  }

  #drop(request: Request, reason: unknown): void {
    request.reject(reason);
    this.#waiting.remove(request);
    if (this.#running?.requests.every(({ settled }) => settled)) this.#running.flag.abort();
  }

  /** After the microtasks, so that all who were woken by the same step are there for the next one. */
  #schedule(): void {
    if (this.#scheduled || this.#running !== null || this.#waiting.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    const requests = this.#waiting.take(this.#maxRows);
    if (requests.length === 0) return;
    await this.#runTogether(requests);
    this.#running = null;
    this.#schedule();
  }

  /** Canvases that have no room together get a step each. Never rejects. */
  async #runTogether(requests: readonly Request[]): Promise<void> {
    const flag = this.#makeFlag();
    this.#running = { requests, flag };
    const start = performance.now();
    try {
      const results = await this.#session.step(
        requests.map(({ canvas }) => canvas),
        flag,
      );
      this.#onStep(report(requests, results, (performance.now() - start) / 1000));
      requests.forEach((request, i) => {
        if (!request.settled) request.resolve(results[i] as StepResult);
      });
    } catch (error) {
      const reason = fromNative(error);
      const pending = requests.filter(({ settled }) => !settled);
      if (requests.length > 1 && reason instanceof RND1Error && reason.code === 'out_of_memory') {
        for (const request of pending) if (!request.settled) await this.#runTogether([request]);
      } else {
        for (const request of pending) request.reject(reason);
      }
    }
  }
}

function report(requests: readonly Request[], results: readonly StepResult[], seconds: number): StepReport {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    canvases: requests.length,
    rows: sum(requests.map(({ canvas }) => canvas.tokens.length)),
    masked: sum(requests.map(({ canvas }) => canvas.masked.length)),
    committed: sum(results.map(({ committed, notFinite }) => (notFinite ? 0 : committed.length))),
    seconds,
  };
}

function disposed(): RND1Error {
  return new RND1Error('disposed', 'the model was disposed');
}
