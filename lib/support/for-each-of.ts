import { setMaxListeners } from 'node:events';

/**
 * Runs `work` for all items, at most `limit` at a time. The first failure aborts the signal of the others, and is thrown
 * when they have ended.
 */
export async function forEachOf<T>(
  items: Iterable<T>,
  limit: number,
  outer: AbortSignal,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const controller = new AbortController();
  const signal = AbortSignal.any([outer, controller.signal]);
  // Every item adds several listeners.
  setMaxListeners(0, signal);
  const queue = [...items];
  let failure: { readonly error: unknown } | null = null;
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined && !signal.aborted; item = queue.shift()) {
      try {
        await work(item, signal);
      } catch (error) {
        failure ??= { error };
        controller.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, queue.length) }, worker));
  outer.throwIfAborted();
  const first = failure as { readonly error: unknown } | null;
  if (first !== null) throw first.error;
}
