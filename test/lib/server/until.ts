import { setTimeout as wait } from 'node:timers/promises';

/** Waits until a condition is true; after 20 s the test fails instead of hanging. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`in vain: ${condition}`);
    await wait(5);
  }
}
