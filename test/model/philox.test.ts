import { scoreAndUnmask } from '../../lib';
import { loadBinding } from '../../lib/runtime/binding';
import { philox, uniform } from '../support/philox';
import { canvasOfRows } from '../support/rows';
import { softmaxOver } from '../support/statistics';

/** Vectors that Random123 publishes for philox4x32-10: counter, key (low word first), words. */
const vectors = [
  {
    counter: [0, 0, 0, 0],
    seed: 0n,
    words: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  },
  {
    counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    seed: 0xffffffff_ffffffffn,
    words: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    seed: 0x299f31d0_a4093822n,
    words: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  },
] as const;

describe('Philox 4x32-10', () => {
  const native = loadBinding();

  it.each(vectors)('gives the published words of seed $seed', ({ counter, seed, words }) => {
    expect([...native.philox(seed, Uint32Array.from(counter), 4)]).toEqual([...words]);
    expect(philox(seed, counter)).toEqual([...words]);
  });

  it('counts words across counters', () => {
    const seed = 0x0123_4567_89ab_cdefn;
    const expected = [100, 101, 102].flatMap((first) => philox(seed, [first, 5, 6, 7]));
    expect([...native.philox(seed, Uint32Array.of(100, 5, 6, 7), 11)]).toEqual(expected.slice(0, 11));
  });
});

describe('a draw', () => {
  const vocabulary = 53;
  const copies = 40;
  const rows = Float32Array.from({ length: 5 * vocabulary }, (_, i) => 3 * Math.sin(i * i + 0.37 * i));
  const canvas = canvasOfRows(rows, vocabulary, copies);

  it.each([
    { seed: 3n, round: 1, topK: null },
    { seed: 0xfedc_ba98_7654_3210n, round: 77, topK: null },
    { seed: 12345n, round: 2, topK: 6 },
  ])('of seed $seed in round $round is the argmax of log p − log(−log u)', async ({ seed, round, topK }) => {
    const scores = await scoreAndUnmask(canvas.logits, {
      ...canvas.request,
      temperature: 0.8,
      topK,
      greedy: false,
      seed,
      round,
    });
    let compared = 0;
    canvas.request.masked.forEach((position, i) => {
      const row = rows.subarray(Math.floor(i / copies) * vocabulary).subarray(0, vocabulary);
      const byLogit = [...row.keys()].sort((a, b) => (row[b] as number) - (row[a] as number) || a - b);
      const kept = byLogit.slice(0, topK ?? vocabulary);
      const law = softmaxOver(row, kept, 0.8);
      const raced = kept
        .map((id) => ({
          id,
          key: Math.log(law[id] as number) - Math.log(-Math.log(uniform(seed, id, position, round))),
        }))
        .sort((a, b) => b.key - a.key);
      const [first, second] = raced as [(typeof raced)[0], (typeof raced)[0]];
      // If the keys are closer than this, f32 rounding decides.
      if (first.key - second.key < 1e-4) return;
      compared++;
      expect(scores.predicted[i]).toBe(first.id);
    });
    expect(compared).toBeGreaterThan(0.95 * canvas.request.masked.length);
  });

  it('depends on the low 64 bits of the seed alone', async () => {
    const draw = async (seed: number | bigint) =>
      (await scoreAndUnmask(canvas.logits, { ...canvas.request, temperature: 1, greedy: false, seed }))
        .predicted;
    expect(await draw(-1)).toEqual(await draw(2n ** 64n - 1n));
    expect(await draw(1)).toEqual(await draw(1n));
    expect(await draw(1)).not.toEqual(await draw(2n ** 32n + 1n));
  });
});
