import { PythonRandom } from './python/random';

/** Which examples stand before each document. */
export interface FewShots {
  readonly type: 'first' | 'drawn';
  /** Number of examples to choose from. */
  readonly pool: number;
  /** Examples per document. */
  readonly shots: number;
  readonly seed: number | bigint;
  /** Number of processes that the documents are thought to be dealt out to, each drawing for itself. */
  readonly worldSize: number;
}

/**
 * The indices of the examples of document 0, 1, 2 and so on, in the order of use. Every process draws with random numbers
 * of its own from the same seed, so documents at the same place of different processes get the same examples.
 *
 * @throws RangeError if there are fewer examples than asked for
 */
export function* drawFewShots({
  type,
  pool,
  shots,
  seed,
  worldSize,
}: FewShots): Generator<readonly number[], never> {
  if (shots > pool) throw new RangeError(`shots is ${shots}, but there are ${pool} examples`);
  const first = Array.from({ length: shots }, (_, i) => i);
  const random = new PythonRandom(seed);
  for (;;) {
    // No numbers are drawn for no examples.
    const indices = type === 'first' || shots === 0 ? first : random.sample(pool, shots);
    for (let rank = 0; rank < worldSize; rank++) yield indices;
  }
}
