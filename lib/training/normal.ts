import { loadBinding } from '../runtime/binding';

/** The word of the generator's counter that says what is drawn: see masking.ts for the others. */
const ofWeights = 33;
const chunk = 2 ** 14;

/**
 * Standard normal numbers that depend on the seed and the number of their stream only: the same bits everywhere, because
 * the polar method (Marsaglia, 1964) takes a logarithm of our own, not the machine's.
 */
export class NormalStream {
  #words: Uint32Array = new Uint32Array(0);
  #next = 0;
  #blocks = 0;
  #spare: number | null = null;

  /** @param number which of the streams of this seed, below 2^32 */
  constructor(
    private readonly seed: bigint,
    private readonly number: number,
  ) {}

  /** The next number. */
  next(): number {
    const spare = this.#spare;
    if (spare !== null) {
      this.#spare = null;
      return spare;
    }
    for (;;) {
      const u = this.#uniform();
      const v = this.#uniform();
      const s = u * u + v * v;
      if (s >= 1 || s === 0) continue;
      const factor = Math.sqrt((-2 * logarithm(s)) / s);
      this.#spare = v * factor;
      return u * factor;
    }
  }

  /** Values of a normal distribution around 0. */
  fill(values: Float32Array, deviation: number): Float32Array {
    for (let i = 0; i < values.length; i++) values[i] = this.next() * deviation;
    return values;
  }

  /** In (−1, 1). */
  #uniform(): number {
    if (this.#next === this.#words.length) {
      const low = this.#blocks % 2 ** 32;
      const high = Math.floor(this.#blocks / 2 ** 32);
      const counter = Uint32Array.of(low, this.number, high, ofWeights);
      this.#words = loadBinding().philox(this.seed, counter, chunk);
      this.#blocks += chunk / 4;
      this.#next = 0;
    }
    const word = this.#words[this.#next++] as number;
    return (word + 0.5) * 2 ** -31 - 1;
  }
}

const bits = new DataView(new ArrayBuffer(8));

/** The natural logarithm of a normal number, of additions, products and a quotient, which round alike everywhere. */
function logarithm(x: number): number {
  bits.setFloat64(0, x);
  const high = bits.getUint32(0);
  let exponent = (high >>> 20) - 1023;
  bits.setUint32(0, (high & 0xfffff) | 0x3ff00000);
  let mantissa = bits.getFloat64(0);
  // From √½ to √2, where the series of the inverse hyperbolic tangent converges fast.
  if (mantissa > Math.SQRT2) {
    mantissa /= 2;
    exponent += 1;
  }
  const z = (mantissa - 1) / (mantissa + 1);
  const square = z * z;
  let sum = 0;
  for (let power = 23; power >= 1; power -= 2) sum = sum * square + 1 / power;
  return exponent * Math.LN2 + 2 * z * sum;
}
