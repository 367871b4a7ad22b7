import { setMaxListeners } from 'node:events';
import type { Answer } from '../outcome';
import { type ChunkOutcomes, type QueuedChunk, requestOf } from './jobs';
import { connectQueue, type QueuePlace } from './redis';

/** How a worker works. */
export interface WorkerOptions extends QueuePlace {
  readonly answer: Answer;
  /** Chunks that are answered at the same time. */
  readonly chunks: number;
  /** How often a chunk is begun before it has failed, by workers that end or that throw. */
  readonly attempts: number;
  /** Seconds for which a chunk is a worker's own, renewed while it works: after a crash others wait that long. */
  readonly lockSeconds: number;
  /** Seconds without a chunk after which the worker ends; null: never. */
  readonly idleSeconds: number | null;
  /** Called when a chunk has been answered, with its number of lines. */
  readonly onChunk?: (lines: number) => void;
  /** When it aborts, the worker takes nothing more, finishes what it has begun, and ends. */
  readonly signal: AbortSignal;
}

/** Answers chunks of lines until the signal aborts or there has been nothing to do for a while. */
export async function work(options: WorkerOptions): Promise<void> {
  const { answer, chunks, attempts, lockSeconds, idleSeconds, onChunk, signal } = options;
  signal.throwIfAborted();
  const { library, redis } = await connectQueue(options);
  // Lines are not stopped by the signal: they are nearly done, and others would begin them again.
  const lines = new AbortController();
  setMaxListeners(0, lines.signal);
  let running = 0;
  const worker = new library.Worker<QueuedChunk, ChunkOutcomes>(
    options.name,
    async ({ data }) => {
      running++;
      idle.stop();
      try {
        const outcomes = await Promise.all(data.lines.map((line) => answer(requestOf(line), lines.signal)));
        onChunk?.(outcomes.length);
        return outcomes;
      } finally {
        if (--running === 0) idle.start();
      }
    },
    {
      connection: redis,
      concurrency: chunks,
      lockDuration: 1000 * lockSeconds,
      stalledInterval: 1000 * lockSeconds,
      // Attempts are what counts.
      maxStalledCount: attempts,
      maxStartedAttempts: attempts,
      autorun: false,
    },
  );
  // Errors of the connection; it is made again.
  worker.on('error', () => {});
  const idle = new Idle(idleSeconds, () => void worker.close());
  const stop = () => void worker.close();
  signal.addEventListener('abort', stop, { once: true });
  try {
    idle.start();
    await worker.run();
    await worker.close();
  } finally {
    signal.removeEventListener('abort', stop);
    idle.stop();
    redis.disconnect();
  }
}

/** Calls `end` after some seconds without `stop`. */
class Idle {
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly seconds: number | null,
    private readonly end: () => void,
  ) {}

  start(): void {
    if (this.seconds !== null) this.#timer = setTimeout(this.end, 1000 * this.seconds);
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
