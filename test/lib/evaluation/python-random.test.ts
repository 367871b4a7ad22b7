import { join } from 'node:path';
import { PythonRandom } from '../../../lib/evaluation';
import { goldenFolders, readJson } from '../../support/evaluation';

interface RandomCase {
  readonly seed: number | string;
  readonly getrandbits32: readonly number[];
  readonly getrandbits_k: readonly (readonly [number, number | string])[];
  readonly random: readonly number[];
  readonly randbelow: readonly (readonly [number, number])[];
  readonly sample: readonly {
    readonly n: number;
    readonly k: number;
    readonly draws: readonly (readonly number[])[];
    readonly next_getrandbits32: number;
  }[];
  readonly shuffle20: readonly number[];
}

/** JSON would round integers beyond 2^53; as text they stay exact. */
const exactIntegers = (json: string) => json.replace(/(?<=[[\s:,])(-?\d{16,})(?=[\s,\]}])/g, '"$1"');

describe.each(goldenFolders())('Python’s random numbers: $name', ({ folder }) => {
  const path = join(folder, 'golden', 'python-random.json');
  const { readFileSync } = jest.requireActual<typeof import('node:fs')>('node:fs');
  const { cases } = JSON.parse(exactIntegers(readFileSync(path, 'utf8'))) as { cases: RandomCase[] };

  it.each(cases)('seed $seed', (one) => {
    const fresh = () => new PythonRandom(BigInt(one.seed));
    let random = fresh();
    expect(one.getrandbits32.map(() => random.bits(32))).toEqual(one.getrandbits32);
    random = fresh();
    for (const [bits, value] of one.getrandbits_k) expect(random.bigBits(bits)).toBe(BigInt(value));
    random = fresh();
    expect(one.random.map(() => random.random())).toEqual(one.random);
    random = fresh();
    for (const [limit, value] of one.randbelow) expect(random.below(limit)).toBe(value);
    for (const { n, k, draws, next_getrandbits32 } of one.sample) {
      random = fresh();
      expect(draws.map(() => random.sample(n, k))).toEqual(draws);
      expect(random.bits(32)).toBe(next_getrandbits32);
    }
    expect(fresh().shuffle(Array.from({ length: 20 }, (_, i) => i))).toEqual(one.shuffle20);
  });

  it('there are cases', () => {
    expect(readJson<{ cases: unknown[] }>(path).cases.length).toBeGreaterThan(2);
  });
});
