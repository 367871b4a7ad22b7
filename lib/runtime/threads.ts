import { integerOption } from '../support/validate';
import { usableCores } from './cores';

/** Compute threads used if none are requested: one per physical core that this process may use. */
export const defaultThreads = () => usableCores();

/** Reads the option `threads`. */
export function threadsOption(threads: unknown): number {
  if (threads === undefined || threads === 'auto') return defaultThreads();
  return integerOption('threads', threads, 1, 1024);
}
