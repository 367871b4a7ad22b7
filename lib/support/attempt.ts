/** Returns or throws what a computation returned or threw. */
export type Attempt<T> = () => T;

/** Computes now and throws later: an async generator reports invalid arguments with its first frame. */
export function attempt<T>(compute: () => T): Attempt<T> {
  try {
    const value = compute();
    return () => value;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}
