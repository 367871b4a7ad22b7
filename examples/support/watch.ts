import type { TextFrame, TextResult } from '../../lib';

/** A run's result with its statistics. */
export interface Watched {
  readonly result: TextResult;
  /** Number of positions that each step committed. */
  readonly committed: readonly number[];
  readonly milliseconds: number;
}

/** Denoises to the end; the time spent in `onFrame` is not counted. */
export async function watch(
  frames: AsyncGenerator<TextFrame, TextResult, void>,
  onFrame: (frame: TextFrame) => void | Promise<void> = () => {},
): Promise<Watched> {
  const committed: number[] = [];
  let milliseconds = 0;
  for (;;) {
    const start = performance.now();
    const next = await frames.next();
    milliseconds += performance.now() - start;
    if (next.done) return { result: next.value, committed, milliseconds };
    committed.push(next.value.committed.length);
    await onFrame(next.value);
  }
}

/** `1 forward`, `2 forwards`. */
export const forwards = (count: number) => `${count} forward${count === 1 ? '' : 's'}`;
