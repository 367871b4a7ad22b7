import { setMaxListeners } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import type { Job, Queue, QueueEvents } from 'bullmq';
import type { Redis } from 'ioredis';
import type { Answer, Outcome } from '../outcome';
import type { BatchRequest } from '../request';
import { type ChunkOutcomes, chunkId, keepSeconds, type QueuedChunk, queuedLine } from './jobs';
import { connectQueue, type QueuePlace } from './redis';

/** How lines are given to workers. */
export interface LineQueueOptions extends QueuePlace {
  /** Lines that one worker answers at the same time. */
  readonly chunk: number;
}

/** A line that waits to be put into a chunk. */
interface Waiting {
  readonly request: BatchRequest;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: unknown) => void;
}

/** Milliseconds for which lines wait for others. */
const patience = 20;

/** Milliseconds after which the state of a chunk is looked up, although nothing was heard of it. */
const lookAgain = 30_000;

type ChunkJob = Job<QueuedChunk, ChunkOutcomes>;

/** How a job ended. */
type ChunkEnd =
  | { readonly state: 'completed'; readonly outcomes: ChunkOutcomes }
  | { readonly state: 'failed'; readonly reason: string }
  | { readonly state: 'unknown' };

/**
 * Has lines answered by workers on other hosts. Lines travel in chunks; a chunk that fails on all of its attempts is taken
 * apart, so that a line that breaks its workers is an error of its own and does not stop the others.
 */
export class LineQueue {
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  readonly #closing = new AbortController();

  private constructor(
    private readonly chunk: number,
    private readonly redis: Redis,
    private readonly queue: Queue<QueuedChunk, ChunkOutcomes>,
    private readonly events: QueueEvents,
  ) {
    // Every chunk listens.
    setMaxListeners(0, this.#closing.signal);
  }

  /** @throws as `connectQueue` */
  static async open({ chunk, ...place }: LineQueueOptions): Promise<LineQueue> {
    const { library, redis } = await connectQueue(place);
    const queue = new library.Queue<QueuedChunk, ChunkOutcomes>(place.name, { connection: redis });
    // Waiting for events needs a connection of its own.
    const events = new library.QueueEvents(place.name, { connection: redis.duplicate() });
    queue.on('error', () => {});
    events.on('error', () => {});
    // Every chunk listens.
    queue.setMaxListeners(0);
    events.setMaxListeners(0);
    await events.waitUntilReady();
    return new LineQueue(chunk, redis, queue, events);
  }

  /** Answers a line. */
  readonly answer: Answer = (request, signal) =>
    new Promise<Outcome>((resolve, reject) => {
      const stop = () => reject(signal.reason);
      if (signal.aborted) return stop();
      signal.addEventListener('abort', stop, { once: true });
      const settled = <T>(settle: (value: T) => void) => {
        return (value: T) => {
          signal.removeEventListener('abort', stop);
          settle(value);
        };
      };
      this.#waiting.push({ request, resolve: settled(resolve), reject: settled(reject) });
      if (this.#waiting.length >= this.chunk) this.#send();
      else this.#timer ??= setTimeout(() => this.#send(), patience);
    });

  /** Lets go of the server. Chunks that are in it stay, and lines that wait for them are given up. */
  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#timer);
    await this.events.close();
    await this.queue.close();
    this.redis.disconnect();
  }

  #send(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const waiting = this.#waiting;
    this.#waiting = [];
    void this.#answerChunk(waiting);
  }

  async #answerChunk(waiting: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await this.#outcomesOf(waiting.map(({ request }) => request));
      for (const [i, { resolve }] of waiting.entries()) resolve(outcomes[i] as Outcome);
    } catch (error) {
      for (const { reject } of waiting) reject(error);
    }
  }

  async #outcomesOf(requests: readonly BatchRequest[]): Promise<ChunkOutcomes> {
    const chunk = { lines: requests.map(queuedLine) };
    for (;;) {
      const job = await this.#jobOf(chunk);
      const end = await this.#endOf(job);
      await job.remove().catch(() => {});
      if (end.state === 'completed') return end.outcomes;
      // Somebody has removed it.
      if (end.state === 'unknown') continue;
      if (requests.length === 1) return [failure(end.reason)];
      return (await Promise.all(requests.map((request) => this.#outcomesOf([request])))).flat();
    }
  }

  async #endOf(job: ChunkJob): Promise<ChunkEnd> {
    const listen = () => job.waitUntilFinished(this.events).catch((error: Error) => error);
    for (let heard = listen(); ; ) {
      // Events may be lost with a connection.
      const end = await this.#soon(heard);
      if (end !== null && !(end instanceof Error)) return { state: 'completed', outcomes: end };
      const state = await job.getState();
      if (state === 'unknown') return { state };
      const found = await this.queue.getJob(job.id as string);
      if (state === 'failed') return { state, reason: end?.message ?? found?.failedReason ?? '' };
      if (state === 'completed' && found?.returnvalue) return { state, outcomes: found.returnvalue };
      if (end !== null) heard = listen();
    }
  }

  /** What a promise gives, or null after a while. Rejects when the queue is closed. */
  async #soon<T>(promise: Promise<T>): Promise<T | null> {
    const settled = new AbortController();
    const signal = AbortSignal.any([settled.signal, this.#closing.signal]);
    try {
      return await Promise.race([promise, wait(lookAgain, null, { signal })]);
    } finally {
      settled.abort();
    }
  }

  /** The job of a chunk: one that an earlier run has left, unless it failed, or a new one. */
  async #jobOf(chunk: QueuedChunk): Promise<ChunkJob> {
    const jobId = chunkId(chunk);
    const left = await this.queue.getJob(jobId);
    if (left !== undefined && (await left.isFailed())) await left.remove();
    return this.queue.add('lines', chunk, {
      jobId,
      removeOnComplete: { age: keepSeconds },
      removeOnFail: { age: keepSeconds },
    });
  }
}

const failure = (message: string): Outcome => ({
  error: { code: 'worker_failed', message: `no worker could answer the line: ${message}` },
});
