import { isCausal } from '../families/traits';
import type { DiffusionLM } from '../index';

/** Input of one step: tokens, and the positions to score. */
export interface BenchCanvas {
  readonly tokens: Int32Array;
  readonly masked: Int32Array;
}

/** A kind of canvas; different seeds make different canvases. */
export interface CanvasKind {
  readonly name: string;
  readonly make: (seed: number) => BenchCanvas;
}

/** Distinct random tokens that are neither masks nor special. @throws RangeError if the vocabulary has too few */
export function randomTokens(model: DiffusionLM, count: number, seed: number): Int32Array {
  const { maskTokenId, eosTokenIds, padTokenId, bosTokenId } = model.config.tokens;
  const special = new Set([maskTokenId, ...eosTokenIds, padTokenId, bosTokenId]);
  const ordinary = Array.from({ length: model.config.architecture.vocabulary }, (_, id) => id).filter(
    (id) => !special.has(id),
  );
  if (ordinary.length < count) {
    throw new RangeError(`${count} distinct tokens are wanted; the vocabulary has ${ordinary.length}`);
  }
  return Int32Array.from(draw(ordinary, count, seed));
}

/**
 * The canvases of step benches: distinct random tokens, all scored, which reach every expert of a model that is wide
 * enough; and random tokens in an eighth of the canvas, masks in the rest, only the masks scored. For a causal model,
 * which has no masks: random tokens, the last one scored.
 */
export function canvasKinds(model: DiffusionLM, length: number): CanvasKind[] {
  const positions = (first: number) => Int32Array.from({ length: length - first }, (_, i) => first + i);
  const random = (seed: number) => randomTokens(model, length, seed);
  if (isCausal(model.config.architecture)) {
    return [
      {
        name: 'random, last scored',
        make: (seed) => ({ tokens: random(seed), masked: positions(length - 1) }),
      },
    ];
  }
  const { maskTokenId } = model.config.tokens;
  if (maskTokenId === null) throw new RangeError('the checkpoint names no mask token');
  const given = Math.max(length >> 3, 1);
  return [
    { name: 'random, all scored', make: (seed) => ({ tokens: random(seed), masked: positions(0) }) },
    {
      name: `${given} random, masks scored`,
      make: (seed) => {
        const tokens = new Int32Array(length).fill(maskTokenId);
        tokens.set(random(seed).subarray(0, given));
        return { tokens, masked: positions(given) };
      },
    },
  ];
}

/** Draws `count` of `items` without repetition: the start of a Fisher-Yates shuffle. */
function draw(items: readonly number[], count: number, seed: number): number[] {
  const left = [...items];
  let state = seed;
  for (let i = 0; i < count; i++) {
    // mulberry32
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    const fraction = ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    const other = i + Math.floor(fraction * (left.length - i));
    [left[i], left[other]] = [left[other] as number, left[i] as number];
  }
  return left.slice(0, count);
}
