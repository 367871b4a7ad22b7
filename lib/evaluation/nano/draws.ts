/** A generator of random numbers. */
export interface Draws {
  /** An integer from 0 to `limit` − 1. */
  below(limit: number): number;
}

/** A random element. */
export function pick<T>(draws: Draws, things: readonly T[]): T {
  return things[draws.below(things.length)] as T;
}

/** A shuffled copy. */
export function shuffled<T>(draws: Draws, things: readonly T[]): T[] {
  const out = [...things];
  for (let i = out.length - 1; i > 0; i--) {
    const j = draws.below(i + 1);
    [out[i], out[j]] = [out[j] as T, out[i] as T];
  }
  return out;
}
