/** Size of the Mersenne Twister's state, in words. */
const size = 624;

/**
 * Python's `random.Random(seed)` for integer seeds: the same numbers in the same order, so that examples are drawn as
 * harnesses in Python draw them.
 */
export class PythonRandom {
  readonly #state = new Uint32Array(size);
  #next = size;

  /** @param seed any integer; its sign does not matter, as in Python */
  constructor(seed: number | bigint) {
    if (typeof seed === 'number' && !Number.isSafeInteger(seed))
      throw new RangeError(`seed must be an integer that is exact, not ${seed}`);
    this.#seed(wordsOf(BigInt(seed)));
  }

  /** The next `bits` random bits, from 1 to 32. */
  bits(bits: number): number {
    return bits === 0 ? 0 : this.#word() >>> (32 - bits);
  }

  /** Python's `getrandbits` for any number of bits. */
  bigBits(bits: number): bigint {
    let value = 0n;
    for (let done = 0; done < bits; done += 32)
      value |= BigInt(this.bits(Math.min(32, bits - done))) << BigInt(done);
    return value;
  }

  /** A number from 0 up to but not including 1, with 53 random bits. */
  random(): number {
    const high = this.#word() >>> 5;
    const low = this.#word() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }

  /** An integer from 0 to `limit` − 1. */
  below(limit: number): number {
    if (!Number.isSafeInteger(limit) || limit < 1)
      throw new RangeError(`limit must be a positive integer, not ${limit}`);
    // Python's own rule: bits of the limit itself, not of the largest result.
    const bits = BigInt(limit).toString(2).length;
    for (;;) {
      const value = bits <= 32 ? this.bits(bits) : Number(this.bigBits(bits));
      if (value < limit) return value;
    }
  }

  /** Python's `sample(range(population), count)`: distinct indices in the order drawn. */
  sample(population: number, count: number): number[] {
    if (count > population)
      throw new RangeError(`cannot draw ${count} different examples from ${population}`);
    // Up to here a list of the population takes less memory than a set of the drawn indices.
    const listLimit = 21 + (count > 5 ? 4 ** Math.ceil(Math.log(count * 3) / Math.log(4)) : 0);
    return population <= listLimit
      ? this.#sampleFromList(population, count)
      : this.#sampleBySet(population, count);
  }

  /** Shuffles in place. */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [items[i], items[j]] = [items[j] as T, items[i] as T];
    }
    return items;
  }

  #sampleFromList(population: number, count: number): number[] {
    const pool = Array.from({ length: population }, (_, i) => i);
    return Array.from({ length: count }, (_, i) => {
      const j = this.below(population - i);
      const drawn = pool[j] as number;
      pool[j] = pool[population - i - 1] as number;
      return drawn;
    });
  }

  #sampleBySet(population: number, count: number): number[] {
    const drawn = new Set<number>();
    while (drawn.size < count) drawn.add(this.below(population));
    return [...drawn];
  }

  /** `init_by_array` of the reference implementation. */
  #seed(key: readonly number[]): void {
    const state = this.#state;
    state[0] = 19650218;
    for (let i = 1; i < size; i++) state[i] = Math.imul(1812433253, mixed(state[i - 1] as number)) + i;
    let i = 1;
    const wrap = () => {
      if (++i < size) return;
      state[0] = state[size - 1] as number;
      i = 1;
    };
    for (let k = 0; k < Math.max(size, key.length); k++) {
      const j = k % key.length;
      const product = Math.imul(mixed(state[i - 1] as number), 1664525);
      state[i] = ((state[i] as number) ^ product) + (key[j] as number) + j;
      wrap();
    }
    for (let k = 1; k < size; k++) {
      const product = Math.imul(mixed(state[i - 1] as number), 1566083941);
      state[i] = ((state[i] as number) ^ product) - i;
      wrap();
    }
    state[0] = 0x80000000;
  }

  #word(): number {
    if (this.#next === size) this.#twist();
    let word = this.#state[this.#next++] as number;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  #twist(): void {
    const state = this.#state;
    for (let i = 0; i < size; i++) {
      const joined = ((state[i] as number) & 0x80000000) | ((state[(i + 1) % size] as number) & 0x7fffffff);
      state[i] = (state[(i + 397) % size] as number) ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
    }
    this.#next = 0;
  }
}

const mixed = (word: number) => word ^ (word >>> 30);

/** The words of an integer's magnitude, least significant first; at least one. */
function wordsOf(seed: bigint): number[] {
  let rest = seed < 0n ? -seed : seed;
  const words: number[] = [];
  do {
    words.push(Number(rest & 0xffffffffn));
    rest >>= 32n;
  } while (rest > 0n);
  return words;
}
