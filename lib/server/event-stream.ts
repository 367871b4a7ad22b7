import { Readable } from 'node:stream';

/** One event of `text/event-stream`; a single line of data, since JSON has no raw newline. */
export function event(data: unknown, name?: string): string {
  const text = typeof data === 'string' ? data : JSON.stringify(data);
  return `${name === undefined ? '' : `event: ${name}\n`}data: ${text}\n\n`;
}

/** A comment, which clients ignore and which keeps proxies from closing the connection. */
const comment = ': keep-alive\n\n';

type Chunks = AsyncGenerator<string | Uint8Array, void>;

export interface WatchedStreamOptions {
  /** Seconds without an event until a comment is sent; 0 = never. */
  readonly keepAlive: number;
  /** Seconds that a chunk may stay unread; 0 = no limit. */
  readonly stallTimeout: number;
  /** Called after that time. */
  readonly onStall: () => void;
}

/**
 * Turns chunks of text or bytes into a byte stream with backpressure: a slow reader slows down the generator, and at most one chunk is
 * buffered here.
 */
export function watchedStream(chunks: Chunks, options: WatchedStreamOptions): Readable {
  return Readable.from(watched(chunks, options), { objectMode: true, highWaterMark: 1 });
}

async function* watched(
  chunks: Chunks,
  { keepAlive, stallTimeout, onStall }: WatchedStreamOptions,
): AsyncGenerator<Uint8Array, void> {
  try {
    let next = chunks.next();
    for (;;) {
      const result = keepAlive > 0 ? await within(next, keepAlive) : await next;
      if (result?.done) return;
      const timer = stallTimeout > 0 ? setTimeout(onStall, stallTimeout * 1000).unref() : undefined;
      try {
        yield bytesOf(result === null ? comment : result.value);
      } finally {
        clearTimeout(timer);
      }
      if (result !== null) next = chunks.next();
    }
  } finally {
    await chunks.return();
  }
}

const bytesOf = (chunk: string | Uint8Array) => (typeof chunk === 'string' ? Buffer.from(chunk) : chunk);

/** The value of a promise, or null if it is still pending after some seconds. */
async function within<T>(promise: Promise<T>, seconds: number): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, seconds * 1000, null).unref();
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
