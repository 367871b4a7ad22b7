import { ApiError } from './errors';

/** Gives back what `enter` has given. */
export type Leave = () => void;

interface Waiting {
  readonly count: number;
  readonly enter: (leave: Leave) => void;
  entered: boolean;
}

export interface QueueLimits {
  /** Canvases that are worked on at once. */
  readonly maxRunning: number;
  /** Canvases that may wait for that. */
  readonly maxQueued: number;
  /** Canvases of one client, worked on or waiting. @default Infinity */
  readonly maxPerClient?: number;
  /** Canvases of one client that are worked on at once. @default Infinity */
  readonly maxRunningPerClient?: number;
}

/**
 * Lets canvases in as places become free. Clients take turns, and the requests of one come in the order of their
 * arrival. Who is next is not overtaken, so that a request of many canvases does not wait for ever behind those of one;
 * but who waits for canvases of its own to end holds up nobody else.
 */
export class Queue {
  readonly maxRunning: number;
  readonly maxQueued: number;
  readonly maxPerClient: number;
  readonly #maxRunningPerClient: number;
  #running = 0;
  #queued = 0;
  /** By client; the first is next. */
  readonly #waiting = new Map<string, Waiting[]>();
  /** Canvases of each client: worked on or waiting, and worked on. */
  readonly #held = new Counts();
  readonly #runningOf = new Counts();
  /** Seconds that a canvas stays, smoothed; what `Retry-After` goes by. */
  #stay = 1;

  constructor(limits: QueueLimits) {
    this.maxRunning = limits.maxRunning;
    this.maxQueued = limits.maxQueued;
    this.maxPerClient = limits.maxPerClient ?? Infinity;
    this.#maxRunningPerClient = limits.maxRunningPerClient ?? Infinity;
  }

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
   * @throws ApiError 429 at once when that many may not wait, or the client has too many; `signal.reason` by the promise
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

  /** What a client is told that asks for too much at once. */
  tooMany(client: string): ApiError {
    const seconds = Math.max(1, Math.ceil(this.#stay));
    return new ApiError(
      429,
      'too_many_for_client',
      `${this.#held.of(client)} canvases of this client are worked on or wait, and it may have ` +
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
      // To the end of the line, where the loop comes by again.
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
      `${this.#running} canvases are worked on and ${this.#queued} wait: try again in ${seconds} s`,
      { headers: { 'retry-after': String(seconds) } },
    );
  }
}

/** Numbers by name; those that are 0 take no room. */
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
