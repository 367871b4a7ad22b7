import { loadBinding } from '../runtime/binding';

// What is drawn has a word of its own in the generator's counter: no state, so that any step can be made again.
const ofTime = 16;
const ofStratum = 17;
const ofMask = 18;
const ofOrder = 19;
const ofLength = 20;
const ofSource = 21;

/** `count` words of counters that differ in the first word only: four each, from `start` on. */
function words(seed: bigint, start: number, number: number, what: number, count: number): Uint32Array {
  const counter = Uint32Array.of(start, number % 2 ** 32, Math.floor(number / 2 ** 32), what);
  return loadBinding().philox(seed, counter, count);
}

/** Uniform in (0, 1): the midpoints of 2^23 intervals. */
const uniform = (word: number) => ((word >>> 9) + 0.5) * 2 ** -23;

/** How a step's mask rates are drawn: each alone, or evenly spread with one draw for all. */
export type TimeSampling = 'independent' | 'stratified';

/** Mask rates in (`smallest`, 1) of the `count` canvases of a step; `first` is the number of the first one in the run. */
export function maskTimes(
  seed: bigint,
  first: number,
  count: number,
  sampling: TimeSampling,
  smallest: number,
): Float64Array {
  const stratum =
    sampling === 'stratified' ? uniform(words(seed, 0, first, ofStratum, 1)[0] as number) : null;
  return Float64Array.from({ length: count }, (_, i) => {
    const u =
      stratum === null
        ? uniform(words(seed, 0, first + i, ofTime, 1)[0] as number)
        : (stratum + i / count) % 1;
    return smallest + (1 - smallest) * u;
  });
}

/** The positions from `from` to `end` − 1 that canvas number `canvas` masks at rate `time`, ascending. */
export function drawMask(seed: bigint, canvas: number, end: number, time: number, from: number): Int32Array {
  if (end <= from) return new Int32Array(0);
  const first = from >> 2;
  const drawn = words(seed, first, canvas, ofMask, end - 4 * first);
  const positions = new Int32Array(end - from);
  let count = 0;
  for (let i = from; i < end; i++) if (uniform(drawn[i - 4 * first] as number) < time) positions[count++] = i;
  return positions.slice(0, count);
}

/** The length to which a canvas of `length` tokens is cut, with the given probability; else its own. */
export function randomLength(seed: bigint, canvas: number, length: number, probability: number): number {
  if (probability === 0) return length;
  const [whether, which] = words(seed, 0, canvas, ofLength, 2);
  return uniform(whether as number) < probability
    ? 1 + Math.floor(uniform(which as number) * length)
    : length;
}

/**
 * Place `index` of a permutation of 0 … size − 1 that depends on the seed and the epoch: a Feistel network of four rounds
 * over the next power of four, walked until it falls into the range.
 */
export function permute(seed: bigint, epoch: number, size: number, index: number): number {
  if (size === 1) return 0;
  const half = Math.max(1, Math.ceil(Math.ceil(Math.log2(size)) / 2));
  const radix = 2 ** half;
  let place = index;
  do {
    let left = Math.floor(place / radix);
    let right = place % radix;
    for (let round = 0; round < 4; round++) {
      const counter = Uint32Array.of(right, epoch, round, ofOrder);
      const word = (loadBinding().philox(seed, counter, 1)[0] as number) % radix;
      [left, right] = [right, (left ^ word) >>> 0];
    }
    place = left * radix + right;
  } while (place >= size);
  return place;
}

/** The source that canvas number `canvas` comes from, given shares that add up to 1. */
export function drawSource(seed: bigint, canvas: number, shares: readonly number[]): number {
  let left = uniform(words(seed, 0, canvas, ofSource, 1)[0] as number);
  const found = shares.findIndex((share) => {
    left -= share;
    return left < 0;
  });
  return found < 0 ? shares.length - 1 : found;
}
