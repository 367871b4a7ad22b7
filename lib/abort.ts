import type { AbortFlag } from '../types/native';
import { fromNative } from './errors';

/**
 * A native call that a signal can abort: it rejects with `signal.reason` at once and native code stops at its next
 * look at the flag. What the call gives after that goes to `discard`.
 */
export async function abortable<T>(
  flag: AbortFlag,
  signal: AbortSignal | undefined,
  call: (flag: AbortFlag) => Promise<T>,
  discard?: (late: T) => void,
): Promise<T> {
  signal?.throwIfAborted();
  // As an async function, so that what the call throws is a rejection too.
  const start = async () => call(flag);
  if (signal === undefined) return start().catch(rethrow);
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => {
      flag.abort();
      reject(signal.reason);
    };
    // Before the call, which may itself run what aborts.
    signal.addEventListener('abort', onAbort, { once: true });
    start()
      .then((value) => (signal.aborted ? discard?.(value) : resolve(value)))
      .catch((error) => reject(fromNative(error)))
      .finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function rethrow(error: unknown): never {
  throw fromNative(error);
}
