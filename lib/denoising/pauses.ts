import { setImmediate as nextTurn } from 'node:timers/promises';

/** How long work that waits for nothing may keep the event loop to itself, in milliseconds. */
const longest = 5;

/** To await between pieces of work; `waits`: how often the work has waited for something so far. */
export type Pause = (waits: number) => Promise<void> | void;

/**
 * Makes a function to await between pieces of work that may not wait for anything: now and then it gives way to timers, to
 * other calls, and to what may abort this one. Work that has waited since the last call goes on at once.
 */
export function pauses(): Pause {
  let last = performance.now();
  let before = 0;
  return (waits) => {
    if (waits !== before) {
      before = waits;
      last = performance.now();
      return;
    }
    if (performance.now() - last < longest) return;
    return nextTurn().then(() => {
      last = performance.now();
    });
  };
}
