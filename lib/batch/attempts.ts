import { setTimeout as wait } from 'node:timers/promises';
import type { Answer } from './outcome';

/** How often and how patiently `withAttempts` repeats. */
export interface Attempts {
  /** Attempts in all, unless the server is busy. */
  readonly attempts: number;
  /** Milliseconds before the second attempt; before every later one twice as many, up to a minute. */
  readonly pause: number;
}

/** Milliseconds before a line that failed is answered again. */
export const pauseBetweenAttempts = 1000;

const longestPause = 60_000;
const busy = 429;

/**
 * Repeats lines that fail by no fault of their own: as long as the server is busy, and a few times if it is out of memory
 * or fails. After the last attempt the error is the line's outcome.
 */
export function withAttempts(answer: Answer, { attempts, pause }: Attempts): Answer {
  return async (request, signal) => {
    let failures = 0;
    for (let attempt = 0; ; attempt++) {
      const outcome = await answer(request, signal);
      const status = 'response' in outcome ? outcome.response.status : 0;
      if (status >= 500) failures++;
      if ((status < 500 && status !== busy) || failures >= attempts) return outcome;
      const time = Math.min(longestPause, pause * 2 ** attempt);
      await wait(time, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  };
}
