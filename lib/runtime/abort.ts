import type { AbortFlag } from '../../types/native';
import { fromNative } from '../support/errors';

/**
 * Runs a native call that a signal can abort: the promise rejects with `signal.reason` at once, and native code stops
 * when it next polls the flag. A result that arrives after that is passed to `discard`.
 */
export async function abortable<T>(
  flag: AbortFlag,
  signal: AbortSignal | undefined,
  call: (flag: AbortFlag) => Promise<T>,
  discard?: (late: T) => void,
): Promise<T> {
  signal?.throwIfAborted();
  // An async function, so that a synchronous throw becomes a rejection too.
  const start = async () => call(flag);
  if (signal === undefined) return start().catch(rethrow);
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => {
      flag.abort();
      reject(signal.reason);
    };
    // Registered before the call, which may itself trigger the abort.
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
