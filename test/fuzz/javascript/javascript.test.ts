import { fuzz } from './target';
import { targets } from './targets';

// A few hundred inputs each, the same every time; `npm run fuzz -- javascript --minutes 60` goes on with new ones.

test.each(targets.map((target) => [target.name, target] as const))(
  '%s: what nobody would write is taken or refused',
  async (_name, target) => {
    const { finding, runs } = await fuzz(target, { seed: 1, runs: target.runs });
    expect(finding).toBeNull();
    expect(runs).toBe(target.runs);
  },
  300_000,
);
