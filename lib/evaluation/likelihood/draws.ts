import { quote } from '../../support/validate';
import { PythonRandom } from '../python/random';
import type { Estimator } from './options';

/** The masked positions of one pass. */
export interface MaskedRow {
  /** Positions from the start of the scored part; may be none. */
  readonly masked: readonly number[];
  /** What the sum of cross entropies is divided by. @default the share of positions that are masked */
  readonly rate?: number;
}

interface Drawing {
  readonly estimator: Estimator;
  /** Number of positions of the scored part. */
  readonly length: number;
  /** Positions of the scored part that may be masked. */
  readonly eligible: readonly number[];
  readonly samples: number;
  readonly batch: number;
  readonly epsilon: number;
  readonly seed: number | bigint;
}

/** The random masks of an estimator, round by round. Each round is independent of the others. */
export function drawMasks(drawing: Drawing): readonly (readonly MaskedRow[])[] {
  const random = new PythonRandom(drawing.seed);
  const rounds = drawing.samples / drawing.batch;
  return Array.from({ length: rounds }, () => roundOf(drawing, random));
}

function roundOf(
  { estimator, length, eligible, batch, epsilon }: Drawing,
  random: PythonRandom,
): MaskedRow[] {
  if (estimator === 'dream') return dreamRound(eligible, batch, epsilon, random);
  if (estimator === 'stratified') return stratifiedRound(length, batch, random);
  const first = random.below(length) + 1;
  return lladaLevels(length, batch, first).map((level) => ({ masked: random.sample(length, level) }));
}

/**
 * LLaDA's numbers of masked positions in a round whose first is `first`: at even distances, rounded half to even. For
 * lengths that put rows on exact halves, even levels come more often than odd ones, which biases the estimate.
 */
export function lladaLevels(length: number, batch: number, first: number): number[] {
  return Array.from({ length: batch }, (_, i) => {
    const level = first + (i * length) / batch;
    return ((roundHalfToEven(level) - 1) % length) + 1;
  });
}

function roundHalfToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}

function dreamRound(
  eligible: readonly number[],
  batch: number,
  epsilon: number,
  random: PythonRandom,
): MaskedRow[] {
  const start = random.random();
  return Array.from({ length: batch }, (_, i) => {
    const rate = (1 - epsilon) * ((start + i / batch) % 1) + epsilon;
    return { masked: eligible.filter(() => random.random() < rate), rate };
  });
}

/**
 * Levels at even distances from a random start, ascending, and masks that follow each other around one random order of
 * the positions: rows of similar levels mask different positions, and each is masked equally often. Every single row is
 * a random set of a uniformly random size, so the estimate is unbiased.
 */
function stratifiedRound(length: number, batch: number, random: PythonRandom): MaskedRow[] {
  const start = random.random();
  const order = random.shuffle(Array.from({ length }, (_, i) => i));
  let next = 0;
  return Array.from({ length: batch }, (_, i) => {
    const level = Math.min(length, Math.floor((length * (start + i)) / batch) + 1);
    const masked = Array.from({ length: level }, (_, j) => order[(next + j) % length] as number);
    next += level;
    return { masked };
  });
}

/** @throws TypeError or RangeError naming the row */
export function checkMasks(
  masks: readonly (readonly MaskedRow[])[],
  length: number,
): readonly (readonly MaskedRow[])[] {
  if (masks.length === 0 || masks.some((round) => round.length === 0))
    throw new RangeError('masks must hold at least one round, and each round at least one row');
  masks.forEach((round, i) => {
    round.forEach(({ masked, rate }, j) => {
      const name = `masks[${i}][${j}]`;
      const wrong = masked.find(
        (position) => !Number.isInteger(position) || position < 0 || position >= length,
      );
      if (wrong !== undefined || new Set(masked).size < masked.length)
        throw new RangeError(
          `${name}.masked must be different positions from 0 to ${length - 1}, not ${quote(masked)}`,
        );
      if (rate !== undefined && !(rate > 0))
        throw new RangeError(`${name}.rate must be positive, not ${quote(rate)}`);
    });
  });
  return masks;
}

/** Most tokens whose sets are enumerated. */
const exactLimit = 14;

/** Every set of positions, with the weight that makes the sum over all of them the exact value. */
export function allMasks(length: number): MaskedRow[] {
  if (length > exactLimit) {
    throw new RangeError(
      `estimator is 'exact', which takes 2^${length} − 1 passes for ${length} tokens; at most ${exactLimit} are allowed`,
    );
  }
  return Array.from({ length: 2 ** length - 1 }, (_, i) => {
    const masked = Array.from({ length }, (_, j) => j).filter((j) => ((i + 1) >> j) & 1);
    return { masked, rate: masked.length * choose(length, masked.length) };
  });
}

function choose(n: number, k: number): number {
  let ways = 1;
  for (let i = 1; i <= k; i++) ways = (ways * (n - k + i)) / i;
  return ways;
}
