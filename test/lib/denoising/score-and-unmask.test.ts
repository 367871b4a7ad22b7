import type { UnmaskRequest } from '../../../lib/api/types';
import { scoreAndUnmask } from '../../../lib/index';
import { load } from '../diffusion-lm/nano-model';
import { worstConfidence } from './step-oracle';

jest.mock('../../../lib/runtime/binding');

describe('scoreAndUnmask', () => {
  const logits = Float32Array.of(0, 1, 0, 0, 0, 3, 2, 0, 0);
  const request: UnmaskRequest = { tokens: [0, 2, 2], masked: [1, 2] };

  it('needs no model and commits everything by default', async () => {
    const result = await scoreAndUnmask(logits, request);
    expect([...result.committed]).toEqual([1, 2]);
    expect([...result.predicted]).toEqual([1, 2]);
    expect(result.confidence[0]).toBeCloseTo(1 - Math.log(2 + Math.E), 6);
    expect(await (await load()).scoreAndUnmask(logits, request)).toEqual(result);
  });

  it('keeps, bounds, restricts and bans', async () => {
    const committed = async (change: object) => [
      ...(await scoreAndUnmask(logits, { ...request, ...change })).committed,
    ];
    expect(await committed({ limit: { keep: 1 } })).toEqual([2]);
    expect(await committed({ limit: { keep: 5 } })).toEqual([]);
    expect(await committed({ limit: { gamma: 0 } })).toEqual([2]);
    expect(await committed({ limit: { tau: 0.9 }, order: 'confidence' })).toEqual([2]);
    expect(await committed({ eligible: [1], limit: { keep: 0 } })).toEqual([1]);
    expect([...(await scoreAndUnmask(logits, { ...request, banned: [1, 2] })).predicted]).toEqual([0, 0]);
  });

  it('orders by confidence with gamma and tau, by entropy otherwise', async () => {
    // Position 1: two tokens share all the probability. Position 2: one is more probable, the rest is spread evenly.
    const spread = Float32Array.of(9, 9.1, 0, 0, 0, 0, 5, 5, 5, 7.5, 5, 5, ...new Array(6).fill(0));
    const given: UnmaskRequest = { tokens: [0, 0, 0], masked: [1, 2], limit: { keep: 1 } };
    const committed = async (change: object) =>
      Array.from((await scoreAndUnmask(spread, { ...given, ...change })).committed);
    expect(await committed({})).toEqual([1]);
    expect(await committed({ order: 'confidence' })).toEqual([2]);
    expect(await committed({ limit: { gamma: 0 } })).toEqual([2]);
    expect(await committed({ limit: { gamma: 0 }, order: 'entropy' })).toEqual([1]);
    expect(await committed({ limit: { tau: 1 } })).toEqual([2]);
  });

  it('keeps position 0 as it is', async () => {
    const { predicted, confidence, entropy } = await scoreAndUnmask(logits, {
      tokens: [1, 2, 2],
      masked: [0],
    });
    expect([predicted[0], confidence[0], entropy[0]]).toEqual([1, worstConfidence, 0]);
  });

  it('returns empty arrays if nothing is masked', async () => {
    expect((await scoreAndUnmask(logits, { tokens: [0, 1, 2], masked: [] })).committed).toHaveLength(0);
  });

  it('rejects logits that are not finite', async () => {
    const broken = Float32Array.from(logits);
    broken[4] = Number.NaN;
    await expect(scoreAndUnmask(broken, request)).rejects.toMatchObject({ code: 'not_finite' });
  });

  it.each<[unknown, object, ErrorConstructor, string]>([
    [logits, { masked: [2, 1] }, RangeError, 'masked[0] is 2'],
    [[1, 2, 3], {}, TypeError, '[ 1, 2, 3 ]'],
    [new Float32Array(10), {}, RangeError, '10'],
    [new Float32Array(), {}, RangeError, '0'],
    [logits, { tokens: [] }, RangeError, '9'],
    [logits, { tokens: [0, 1, 3] }, RangeError, '3'],
    [logits, { masked: [3] }, RangeError, '3'],
    [logits, { masked: undefined }, TypeError, 'undefined'],
    [logits, { masked: [1, 1] }, RangeError, 'twice'],
    [logits, { eligible: [0] }, RangeError, 'position 0'],
    [logits, { order: 'best' }, TypeError, "'best'"],
    [logits, { limit: { keep: -1 } }, RangeError, '-1'],
    [logits, { limit: { keep: 1, gamma: 1 } }, TypeError, 'gamma'],
    [logits, { limit: { tau: 0 } }, RangeError, '0'],
    [logits, { limit: 3 }, TypeError, '3'],
    [logits, { temperature: -1 }, RangeError, '-1'],
    [logits, { round: -1 }, RangeError, '-1'],
    [logits, { banned: [3] }, RangeError, '3'],
  ])('%p with %p is refused', async (given, change, kind, quoted) => {
    const call = () => scoreAndUnmask(given as Float32Array, { ...request, ...change });
    await expect(call()).rejects.toThrow(kind);
    await expect(call()).rejects.toThrow(quoted);
  });
});
