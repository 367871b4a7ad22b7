import { Worker } from 'node:worker_threads';
import { FairLine, type InLine } from '../support/fair-line';
import { ownerOf } from '../support/owners';
import type { ThreadMessage, ToldError } from './thread';

/** Why a thread was lost: it took too long, needed too much memory, or exited by itself. */
export type LossReason = 'time' | 'memory' | 'crash';

/** The thread ended before it answered. */
export class ThreadLost extends Error {
  override readonly name = 'ThreadLost';

  /** @param starting whether it was still preparing */
  constructor(
    readonly reason: LossReason,
    readonly starting: boolean,
    options?: { cause?: unknown },
  ) {
    super(`a worker thread was lost (${reason})`, options);
  }
}

/** An error that the thread threw. */
export class ThreadFailed extends Error {
  override readonly name = 'ThreadFailed';

  constructor(readonly told: ToldError) {
    super(told.message);
  }
}

/** Limits are in seconds. */
export interface LaneOptions {
  /** The module that runs in the thread and calls `serveThread`. */
  readonly file: string;
  /** Passed to the module's `prepare` function. */
  readonly data: unknown;
  /** Time limit for preparing. */
  readonly startLimit: number;
  /** Time limit for one request. */
  readonly limit: number;
  /** Limit of the thread's heap. */
  readonly heapMegabytes: number;
  /** The thread ends after being idle for this time. @default never */
  readonly idleLimit?: number;
  /** Called when a thread was lost. */
  readonly onLost?: (reason: LossReason) => void;
}

interface Job extends InLine {
  /** Undefined if the caller only waits for the thread to be ready. */
  readonly request: unknown;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Runs code that may never end, in a worker thread that starts on first use and answers one request at a time; owners
 * take turns. A request that takes too long, or too much memory, ends the thread, which is the only way to interrupt a
 * regular expression; the next request starts a new one. Keeps the process alive only while requests are pending.
 */
export class Lane<Ready, Request, Reply> {
  readonly #options: LaneOptions;
  #worker: Worker | null = null;
  /** The data that the thread sent when it was ready; null until then. */
  #ready: { readonly told: Ready } | null = null;
  #current: Job | null = null;
  readonly #waiting = new FairLine<Job>();
  #timer: NodeJS.Timeout | undefined;
  #closed: Error | null = null;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Number of requests that are not answered yet. */
  get pending(): number {
    return this.#waiting.size + (this.#current === null ? 0 : 1);
  }

  /** Starts the thread unless it runs, and resolves to the data that it sends when it is ready. */
  start(): Promise<Ready> {
    return this.#ask(undefined) as Promise<Ready>;
  }

  /**
   * Rejects with `signal.reason` as soon as it aborts; a request that has begun still runs to its end or its limit.
   *
   * @throws ThreadFailed what the thread threw; ThreadLost beyond a limit
   */
  ask(request: Request, signal?: AbortSignal): Promise<Reply> {
    return this.#ask(request, signal) as Promise<Reply>;
  }

  /** Ends the thread; pending and later requests reject with `reason`. */
  close(reason: Error): void {
    if (this.#closed !== null) return;
    this.#closed = reason;
    this.#current?.reject(reason);
    this.#current = null;
    for (const job of this.#waiting.take(Number.POSITIVE_INFINITY)) job.reject(reason);
    this.#end();
  }

  #ask(request: unknown, signal?: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#closed !== null) throw this.#closed;
      const owner = ownerOf(signal);
      const job: Job = { owner, size: 1, request, resolve: settle(resolve), reject: settle(reject) };
      const onAbort = () => {
        this.#waiting.remove(job);
        job.reject(signal?.reason);
      };
      function settle<T>(then: (value: T) => void): (value: T) => void {
        return (value) => {
          signal?.removeEventListener('abort', onAbort);
          then(value);
        };
      }
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.add(job);
      this.#advance();
    });
  }

  #advance(): void {
    if (this.#current !== null) return;
    const [job] = this.#waiting.take(1);
    if (job === undefined) {
      this.#rest();
      return;
    }
    this.#current = job;
    try {
      this.#worker ??= this.#open();
    } catch (error) {
      // The process lacks the permission to start threads.
      this.#finish(() => job.reject(error));
      return;
    }
    this.#worker.ref();
    if (this.#ready === null) this.#watch(this.#options.startLimit);
    else this.#begin(job);
  }

  /** Sends a request to the thread, which is ready. */
  #begin({ request, resolve, reject }: Job): void {
    if (request === undefined) {
      this.#finish(() => resolve(this.#ready?.told));
      return;
    }
    this.#watch(this.#options.limit);
    try {
      this.#worker?.postMessage(request);
    } catch (error) {
      this.#finish(() => reject(error));
    }
  }

  #finish(settle: () => void): void {
    clearTimeout(this.#timer);
    this.#current = null;
    settle();
    this.#advance();
  }

  #rest(): void {
    this.#worker?.unref();
    const { idleLimit } = this.#options;
    if (idleLimit === undefined || this.#worker === null) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end(), idleLimit * 1000).unref();
  }

  #watch(seconds: number): void {
    clearTimeout(this.#timer);
    const job = this.#current;
    this.#timer = setTimeout(() => {
      // The answer may be queued already, if it was this thread's event loop that was blocked.
      setImmediate(() => {
        if (this.#current === job && job !== null) this.#lose('time');
      });
    }, seconds * 1000);
  }

  #open(): Worker {
    const { file, data, heapMegabytes } = this.#options;
    const worker = new Worker(file, {
      workerData: data,
      // Nothing is inherited from the process: no loaders, flags or access tokens.
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: heapMegabytes, maxYoungGenerationSizeMb: 64 },
    });
    const ours = () => this.#worker === worker;
    worker.on('message', (message: ThreadMessage) => {
      if (ours()) this.#hear(message);
    });
    worker.on('error', (error: NodeJS.ErrnoException) => {
      if (ours()) this.#lose(error.code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'memory' : 'crash', error);
    });
    worker.on('exit', () => {
      if (ours()) this.#lose('crash');
    });
    return worker;
  }

  #hear(message: ThreadMessage): void {
    const job = this.#current;
    if ('ready' in message) {
      this.#ready = { told: message.ready as Ready };
      if (job !== null) this.#begin(job);
    } else if (job !== null && 'reply' in message) {
      this.#finish(() => job.resolve(message.reply));
    } else if ('error' in message) {
      // A thread that failed to prepare cannot answer the next request either.
      if (this.#ready === null) this.#end();
      this.#finish(() => job?.reject(new ThreadFailed(message.error)));
    }
  }

  #lose(reason: LossReason, cause?: unknown): void {
    const starting = this.#ready === null;
    const job = this.#current;
    this.#end();
    this.#options.onLost?.(reason);
    this.#finish(() => job?.reject(new ThreadLost(reason, starting, { cause })));
  }

  #end(): void {
    clearTimeout(this.#timer);
    const worker = this.#worker;
    this.#worker = null;
    this.#ready = null;
    void worker?.terminate();
  }
}
