import { loadBinding } from '../runtime/binding';

/**
 * A uniform number in (0, 1) for each position, from the same generator as the random order (docs/architecture.md,
 * "Scores").
 */
export function positionDraws(
  positions: Int32Array,
  { seed, round }: { readonly seed: bigint; readonly round: number },
): Float64Array {
  const { philox } = loadBinding();
  return Float64Array.from(positions, (position) => {
    const word = philox(seed, Uint32Array.of(0, position, round, 1), 1)[0] as number;
    return ((word >>> 9) + 0.5) * 2 ** -23;
  });
}
