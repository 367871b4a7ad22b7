import { readSampling, readScoring, readSeed } from '../../../lib/denoising/sampling-options';
import { quote, tokenList } from '../../../lib/support/validate';

describe('scoring options', () => {
  it('are greedy at temperature 1 by default', () => {
    expect(readScoring({})).toEqual({
      temperature: 1,
      topK: 0,
      topP: 1,
      topPFirst: false,
      rawConfidence: false,
      greedy: true,
    });
  });

  it('treat temperature 0 as greedy at temperature 1, whatever `greedy` is', () => {
    for (const greedy of [undefined, true, false]) {
      expect(readScoring({ temperature: 0, greedy })).toMatchObject({ temperature: 1, greedy: true });
    }
  });

  it('draw above temperature 0 unless greedy is asked for', () => {
    expect(readScoring({ temperature: 0.7 })).toMatchObject({ temperature: 0.7, greedy: false });
    expect(readScoring({ temperature: 0.7, greedy: true })).toMatchObject({ temperature: 0.7, greedy: true });
    expect(readScoring({ temperature: 1e-8 }).temperature).toBe(1e-8);
  });

  it('accept several values that turn filters off', () => {
    for (const options of [{}, { topK: null, topP: null }, { topK: 0, topP: 0 }, { topP: 1 }]) {
      expect(readScoring(options)).toMatchObject({ topK: 0, topP: 1 });
    }
    expect(readScoring({ topK: 5, topP: 0.5 })).toMatchObject({ topK: 5, topP: 0.5 });
  });

  it.each<[object, ErrorConstructor, string]>([
    [{ temperature: -0.5 }, RangeError, '-0.5'],
    [{ temperature: Number.NaN }, RangeError, 'NaN'],
    [{ temperature: Number.POSITIVE_INFINITY }, RangeError, 'Infinity'],
    [{ temperature: '1' }, TypeError, "'1'"],
    [{ topK: 1.5 }, RangeError, '1.5'],
    [{ topK: -1 }, RangeError, '-1'],
    [{ topP: 1.01 }, RangeError, '1.01'],
    [{ topP: Number.NaN }, RangeError, 'NaN'],
    [{ greedy: 'yes' }, TypeError, "'yes'"],
    [{ steps: -1 }, RangeError, '-1'],
    [{ steps: 2.5 }, RangeError, '2.5'],
    [{ steps: Number.NaN }, RangeError, 'NaN'],
    [{ steps: '8' }, TypeError, "'8'"],
    [{ steps: null }, TypeError, 'null'],
    [{ schedule: 'quick' }, TypeError, "'quick'"],
    [{ counts: 'odd' }, TypeError, "'odd'"],
    [{ counts: { type: 'linear', eps: -0.1 } }, RangeError, 'counts.eps'],
    [
      { steps: 8, schedule: { type: 'blocks', length: 4, steps: 2 } },
      TypeError,
      'steps and schedule.steps exclude',
    ],
    [{ counts: { type: 'linear', independent: 1 } }, TypeError, 'counts.independent'],
    [{ counts: null }, TypeError, 'null'],
    [{ filterOrder: 'top' }, TypeError, "'top'"],
    [{ confidence: 'high' }, TypeError, "'high'"],
    [{ algTemp: -1 }, RangeError, '-1'],
    [{ algTemp: 1, schedule: 'random' }, TypeError, 'algTemp'],
    [{ algTemp: 1, schedule: { type: 'threshold', tau: 0.5 } }, TypeError, 'algTemp'],
    [{ cfgScale: -1 }, RangeError, '-1'],
    [{ suppressEos: 'last' }, TypeError, "'last'"],
    [{ editing: { threshold: 2 } }, RangeError, 'editing.threshold'],
    [{ editing: { threshold: 0.5, maxPostSteps: -1 } }, RangeError, 'editing.maxPostSteps'],
    [{ editing: {} }, TypeError, 'editing.threshold'],
    [{ idleSteps: 'all' }, TypeError, "'all'"],
    [{ seed: 0.5 }, RangeError, '0.5'],
    [{ seed: 2 ** 53 }, RangeError, '9007199254740992'],
    [{ seed: 2n ** 64n }, RangeError, '18446744073709551616n'],
    [{ seed: 'lucky' }, TypeError, "'lucky'"],
    [{ signal: {} }, TypeError, '{}'],
    [{ signal: null }, TypeError, 'null'],
  ])('%p is refused', (options, kind, quoted) => {
    expect(() => readSampling(options)).toThrow(kind);
    expect(() => readSampling(options)).toThrow(quoted);
  });
});

describe('seeds', () => {
  it('are the low 64 bits', () => {
    expect(readSeed(-1)).toBe(2n ** 64n - 1n);
    expect(readSeed(-(2n ** 63n))).toBe(2n ** 63n);
    expect(readSeed(7)).toBe(7n);
  });

  it('are random if none is given, and survive JSON', () => {
    const seeds = Array.from({ length: 20 }, () => readSeed(undefined));
    expect(new Set(seeds).size).toBe(20);
    for (const seed of seeds) expect(readSeed(Number(seed))).toBe(seed);
  });
});

describe('token lists', () => {
  it('are copied from arrays and typed arrays', () => {
    const given = Int32Array.of(1, 2);
    const copy = tokenList('prefix', given, 10);
    given[0] = 9;
    expect([...copy]).toEqual([1, 2]);
    expect([...tokenList('prefix', [3, 4], 10)]).toEqual([3, 4]);
  });

  it.each<[unknown, ErrorConstructor, string]>([
    ['1,2', TypeError, "'1,2'"],
    [null, TypeError, 'null'],
    [[1, '2'], TypeError, "prefix[1] must be an integer, not '2'"],
    [[1, undefined], TypeError, 'undefined'],
    [BigInt64Array.of(1n), TypeError, '1n'],
    [[1, 1.5], RangeError, 'prefix[1] is 1.5'],
    [[Number.NaN], RangeError, 'NaN'],
    [[10], RangeError, 'prefix[0] is 10, but token ids are the integers from 0 to 9'],
    [[-1], RangeError, '-1'],
  ])('%p is refused', (list, kind, message) => {
    expect(() => tokenList('prefix', list as number[], 10)).toThrow(kind);
    expect(() => tokenList('prefix', list as number[], 10)).toThrow(message);
  });

  it('are quoted in one short line', () => {
    expect(quote(new Array(10_000).fill(123456)).length).toBeLessThanOrEqual(120);
    expect(quote('a\nb'.repeat(500))).not.toContain('\n');
  });
});
