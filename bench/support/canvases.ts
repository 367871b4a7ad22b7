import type { DiffusionLM } from '../../lib';

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

/**
 * The two canvases of the step bench: distinct random tokens, all scored, which reach every expert of a model that is
 * wide enough; and random tokens in an eighth of the canvas, masks in the rest, only the masks scored.
 */
export function canvasKinds(model: DiffusionLM, length: number): CanvasKind[] {
  const { maskTokenId, eosTokenIds, padTokenId, bosTokenId } = model.config.tokens;
  if (maskTokenId === null) throw new RangeError('the checkpoint names no mask token');
  const special = new Set([maskTokenId, ...eosTokenIds, padTokenId, bosTokenId]);
  const ordinary = Array.from({ length: model.config.architecture.vocabulary }, (_, id) => id).filter(
    (id) => !special.has(id),
  );
  if (ordinary.length < length) {
    throw new RangeError(`${length} distinct tokens are wanted; the vocabulary has ${ordinary.length}`);
  }
  const given = Math.max(length >> 3, 1);
  return [
    {
      name: 'random, all scored',
      make: (seed) => ({
        tokens: Int32Array.from(draw(ordinary, length, seed)),
        masked: Int32Array.from({ length }, (_, position) => position),
      }),
    },
    {
      name: `${given} random, masks scored`,
      make: (seed) => {
        const tokens = new Int32Array(length).fill(maskTokenId);
        tokens.set(draw(ordinary, given, seed));
        return { tokens, masked: Int32Array.from({ length: length - given }, (_, i) => given + i) };
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
