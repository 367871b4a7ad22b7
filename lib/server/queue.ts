import { ApiError } from './errors';

/** Gives back what `enter` has given. */
export type Leave = () => void;

interface Waiting {
  readonly count: number;
  enter(leave: Leave): void;
}

/**
 * How many canvases are worked on at once, and how many may wait for that: in order of arrival, so that a request of
 * many canvases is not overtaken for ever by those of one.
 */
export class Queue {
  #running = 0;
  #queued = 0;
  #waiting: Waiting[] = [];
  /** Seconds that a canvas stays, smoothed; what `Retry-After` goes by. */
  #stay = 1;

  constructor(
    readonly maxRunning: number,
    readonly maxQueued: number,
  ) {}

  /** Canvases that are worked on. */
  get running(): number {
    return this.#running;
  }

  /** Canvases that wait. */
  get queued(): number {
    return this.#queued;
  }

  /**
   * Asks for `count` places, 1 … `maxRunning`. Resolves when they are there.
   *
   * @throws ApiError 429 at once when that many may not wait; `signal.reason` by the promise
   */
  enter(count: number, signal: AbortSignal): Promise<Leave> {
    signal.throwIfAborted();
    const free = this.#waiting.length === 0 && this.#running + count <= this.maxRunning;
    if (free) return Promise.resolve(this.#start(count));
    if (this.#queued + count > this.maxQueued) throw this.#full();
    this.#queued += count;
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        this.#queued -= count;
        reject(signal.reason);
        this.#advance();
      };
      const waiting: Waiting = {
        count,
        enter: (leave) => {
          signal.removeEventListener('abort', onAbort);
          resolve(leave);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(waiting);
    });
  }

  #start(count: number): Leave {
    const since = performance.now();
    this.#running += count;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#running -= count;
      this.#stay += 0.1 * ((performance.now() - since) / 1000 - this.#stay);
      this.#advance();
    };
  }

  #advance(): void {
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined || this.#running + next.count > this.maxRunning) return;
      this.#waiting.shift();
      this.#queued -= next.count;
      next.enter(this.#start(next.count));
    }
  }

  #full(): ApiError {
    const seconds = Math.max(1, Math.ceil((this.#stay * this.#queued) / this.maxRunning));
    return new ApiError(
      429,
      'queue_full',
      `${this.#running} canvases are worked on and ${this.#queued} wait: try again in ${seconds} s`,
      { headers: { 'retry-after': String(seconds) } },
    );
  }
}
