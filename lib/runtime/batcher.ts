import type { AbortFlag, StepCanvas, StepResult } from '../../types/native';
import type { StepReport } from '../api/types';
import { fromNative, RND1Error } from '../support/errors';
import { FairLine, type InLine } from '../support/fair-line';
import { ownerOf } from '../support/owners';

/**
 * Maximum number of rows (tokens of all canvases that are computed) in one native step. Bounds the workspace and the time that a new
 * canvas waits; beyond a few thousand rows weights are reused so often that more rows gain nothing. A longer canvas
 * runs alone.
 */
export const maxRowsPerStep = 4096;

/** The part of a native session that the batcher uses. */
export interface StepSession {
  step(canvases: readonly StepCanvas[], block: number | null, abort: AbortFlag | null): Promise<StepResult[]>;
}

export interface BatcherOptions {
  /** @default maxRowsPerStep */
  readonly maxRows?: number;
  /** Called after every native step that succeeded. */
  readonly onStep?: (report: StepReport) => void;
}

/** Creates the flag that native code polls. */
export type MakeAbortFlag = () => AbortFlag;

/** A canvas, and the block of the attention mask instead of the model's own; only canvases of the same block share a step. */
export interface BlockCanvas extends StepCanvas {
  readonly block: number | null;
}

interface Request extends InLine {
  readonly canvas: BlockCanvas;
  resolve(result: StepResult): void;
  reject(reason: unknown): void;
  /** Resolved, aborted or disposed: a result is no longer awaited. */
  settled: boolean;
}

/**
 * Packs the canvases of many calls into shared native steps. All canvases that wait while the session is idle share the
 * next step; one native step runs at a time. If they do not all fit, owners (`setOwner`) take turns by the rows they
 * have used, and an owner's canvases are served in order of arrival: after a step, a canvas queues again as the last.
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
   * One step of one canvas. Aborting rejects with `signal.reason` at once and does not affect the other canvases:
   * the native step itself is only aborted when no call awaits any of its canvases.
   */
  step(canvas: BlockCanvas, signal?: AbortSignal): Promise<StepResult> {
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
        size: rowsOf(canvas),
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

  /** Rejects all waiting, running and later requests with `disposed`. */
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

  /** Runs after the microtasks, so that all calls that one step resolved can share the next one. */
  #schedule(): void {
    if (this.#scheduled || this.#running !== null || this.#waiting.size === 0) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    const requests = this.#waiting.take(this.#maxRows, (a, b) => a.canvas.block === b.canvas.block);
    if (requests.length === 0) return;
    await this.#runTogether(requests);
    this.#running = null;
    this.#schedule();
  }

  /** Canvases that run out of memory together get a step each. Never rejects. */
  async #runTogether(requests: readonly Request[]): Promise<void> {
    const flag = this.#makeFlag();
    this.#running = { requests, flag };
    const start = performance.now();
    try {
      const results = await this.#session.step(
        requests.map(({ canvas }) => canvas),
        requests[0]?.canvas.block ?? null,
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

/** Rows that a step computes for a canvas. */
const rowsOf = ({ tokens, cache, guidance }: StepCanvas) =>
  (cache?.rows ?? tokens).length * (guidance === null ? 1 : 2);

function report(requests: readonly Request[], results: readonly StepResult[], seconds: number): StepReport {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    canvases: requests.length,
    rows: sum(requests.map(({ size }) => size)),
    masked: sum(requests.map(({ canvas }) => canvas.masked.length)),
    committed: sum(results.map(({ committed, notFinite }) => (notFinite ? 0 : committed.length))),
    edited: sum(requests.map(({ canvas }, i) => edits(canvas, results[i] as StepResult))),
    seconds,
  };
}

/** How many of a step's commits replaced another token. */
function edits({ plan: { editable } }: StepCanvas, { committed, notFinite }: StepResult): number {
  if (editable === null || notFinite) return 0;
  const written = new Set(editable);
  return committed.filter((position) => written.has(position)).length;
}

function disposed(): RND1Error {
  return new RND1Error('disposed', 'the model was disposed');
}
