import { ApiError } from './errors';

/** Releases the places that `enter` granted. */
export type Leave = () => void;

interface Waiting {
  readonly count: number;
  readonly enter: (leave: Leave) => void;
  entered: boolean;
}

export interface QueueLimits {
  /** Canvases that run at the same time. */
  readonly maxRunning: number;
  /** Canvases that may wait. */
  readonly maxQueued: number;
  /** Canvases of one client, running or waiting. @default Infinity */
  readonly maxPerClient?: number;
  /** Canvases of one client that run at the same time. @default Infinity */
  readonly maxRunningPerClient?: number;
}

/**
 * Admits canvases as places become free. Clients take turns; requests of one client enter in order of arrival. The
 * next request is not overtaken, so that a request of many canvases cannot starve behind requests of one canvas;
 * only a client at its own limit of running canvases is skipped.
 */
export class Queue {
  readonly maxRunning: number;
  readonly maxQueued: number;
  readonly maxPerClient: number;
  readonly #maxRunningPerClient: number;
  #running = 0;
  #queued = 0;
  /** Waiting requests by client; the first client is next. */
  readonly #waiting = new Map<string, Waiting[]>();
  /** Canvases of each client: running or waiting, and running. */
  readonly #held = new Counts();
  readonly #runningOf = new Counts();
  /** Seconds that a canvas runs, smoothed; the basis of `Retry-After`. */
  #stay = 1;

  constructor(limits: QueueLimits) {
    this.maxRunning = limits.maxRunning;
    this.maxQueued = limits.maxQueued;
    this.maxPerClient = limits.maxPerClient ?? Infinity;
    this.#maxRunningPerClient = limits.maxRunningPerClient ?? Infinity;
  }

  /** Canvases that run. */
  get running(): number {
    return this.#running;
  }

  /** Canvases that wait. */
  get queued(): number {
    return this.#queued;
  }

  /**
   * Requests `count` places, 1 … `maxRunning`. Resolves when they are free, rejects with `signal.reason` on abort.
   *
   * @throws ApiError 429 synchronously if that many may not wait or the client has too many
   */
  enter(count: number, signal: AbortSignal, client = ''): Promise<Leave> {
    signal.throwIfAborted();
    if (this.#held.of(client) + count > this.maxPerClient) throw this.tooMany(client);
    let giveUp: (reason: unknown) => void = () => {};
    let waiting!: Waiting;
    const onAbort = () => {
      this.#forget(client, waiting);
      giveUp(signal.reason);
      this.#advance();
    };
    const entering = new Promise<Leave>((resolve, reject) => {
      giveUp = reject;
      const enter = (leave: Leave) => {
        signal.removeEventListener('abort', onAbort);
        waiting.entered = true;
        resolve(leave);
      };
      waiting = { count, enter, entered: false };
    });
    this.#waiting.set(client, [...(this.#waiting.get(client) ?? []), waiting]);
    this.#queued += count;
    this.#held.add(client, count);
    this.#advance();
    if (waiting.entered) return entering;
    if (this.#queued > this.maxQueued) {
      this.#forget(client, waiting);
      throw this.#full();
    }
    signal.addEventListener('abort', onAbort, { once: true });
    return entering;
  }

  /** The error for a client with too many canvases or requests. */
  tooMany(client: string): ApiError {
    const seconds = Math.max(1, Math.ceil(this.#stay));
    return new ApiError(
      429,
      'too_many_for_client',
      `${this.#held.of(client)} canvases of this client are running or waiting, and it may have ` +
        `${this.maxPerClient} canvases and as many requests (--max-per-client): try again in ${seconds} s`,
      { headers: { 'retry-after': String(seconds) } },
    );
  }

  #forget(client: string, waiting: Waiting): void {
    const others = (this.#waiting.get(client) ?? []).filter((other) => other !== waiting);
    if (others.length === 0) this.#waiting.delete(client);
    else this.#waiting.set(client, others);
    this.#queued -= waiting.count;
    this.#held.add(client, -waiting.count);
  }

  #start(count: number, client: string): Leave {
    const since = performance.now();
    this.#running += count;
    this.#runningOf.add(client, count);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      this.#running -= count;
      this.#runningOf.add(client, -count);
      this.#held.add(client, -count);
      this.#stay += 0.1 * ((performance.now() - since) / 1000 - this.#stay);
      this.#advance();
    };
  }

  #advance(): void {
    for (const [client, [next, ...others]] of this.#waiting) {
      if (next === undefined) continue;
      if (this.#runningOf.of(client) + next.count > this.#maxRunningPerClient) continue;
      if (this.#running + next.count > this.maxRunning) return;
      // Moves the client to the end of the map, which the loop reaches again.
      this.#waiting.delete(client);
      if (others.length > 0) this.#waiting.set(client, others);
      this.#queued -= next.count;
      next.enter(this.#start(next.count, client));
    }
  }

  #full(): ApiError {
    const seconds = Math.max(1, Math.ceil((this.#stay * this.#queued) / this.maxRunning));
    return new ApiError(
      429,
      'queue_full',
      `${this.#running} canvases are running and ${this.#queued} wait: try again in ${seconds} s`,
      { headers: { 'retry-after': String(seconds) } },
    );
  }
}

/** Counters by name; those at 0 are not stored. */
export class Counts {
  readonly #counts = new Map<string, number>();

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  add(name: string, amount: number): void {
    const count = this.of(name) + amount;
    if (count === 0) this.#counts.delete(name);
    else this.#counts.set(name, count);
  }
}
