import { Readable } from 'node:stream';

/** One event of `text/event-stream`; a single line of data, since JSON has no raw newline. */
export function event(data: unknown, name?: string): string {
  const text = typeof data === 'string' ? data : JSON.stringify(data);
  return `${name === undefined ? '' : `event: ${name}\n`}data: ${text}\n\n`;
}

/** What readers ignore and proxies take for a sign of life. */
const comment = ': keep-alive\n\n';

export interface EventStreamOptions {
  /** Seconds without an event until a comment is sent; 0 = never. */
  readonly keepAlive: number;
  /** Seconds that a chunk may lie unread; 0 = any. */
  readonly stallTimeout: number;
  /** Called when that time is over. */
  readonly onStall: () => void;
}

/**
 * Chunks as a byte stream that asks for the next one only when there is room for it: a reader that is slow slows down
 * what makes the chunks, and no more than one of them waits here.
 */
export function eventStream(chunks: AsyncGenerator<string, void>, options: EventStreamOptions): Readable {
  return Readable.from(watched(chunks, options), { objectMode: true, highWaterMark: 1 });
}

async function* watched(
  chunks: AsyncGenerator<string, void>,
  { keepAlive, stallTimeout, onStall }: EventStreamOptions,
): AsyncGenerator<Buffer, void> {
  try {
    let next = chunks.next();
    for (;;) {
      const result = keepAlive > 0 ? await within(next, keepAlive) : await next;
      if (result?.done) return;
      const timer = stallTimeout > 0 ? setTimeout(onStall, stallTimeout * 1000).unref() : undefined;
      try {
        yield Buffer.from(result === null ? comment : result.value);
      } finally {
        clearTimeout(timer);
      }
      if (result !== null) next = chunks.next();
    }
  } finally {
    await chunks.return();
  }
}

/** What a promise gives, or null when it has not after some seconds. */
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
