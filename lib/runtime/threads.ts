import { availableParallelism } from 'node:os';
import { integerOption } from '../support/validate';

/** Compute threads used if none are requested: those that this process may run at once. */
export const defaultThreads = () => availableParallelism();

/** Reads the option `threads`. */
export function threadsOption(threads: unknown): number {
  return threads === undefined ? defaultThreads() : integerOption('threads', threads, 1, 1024);
}
