/** Mean and deviation of a tensor's elements. */
interface Distribution {
  readonly mean: number;
  readonly deviation: number;
}

/**
 * Distributions that keep activations near 1 through all layers: a residual stream that starts with unit variance,
 * router logits with a deviation of 2, logits with one of 2.5.
 */
export function distributionOf(name: string, shape: readonly number[]): Distribution {
  const inner = Math.sqrt(shape.at(-1) as number);
  if (/[qk]_norm/.test(name)) return { mean: 1.3, deviation: 0.1 };
  if (/norm/.test(name)) return { mean: 1, deviation: 0.1 };
  if (/embed_tokens/.test(name)) return { mean: 0, deviation: 1 };
  if (/mlp\.gate\.weight/.test(name)) return { mean: 0, deviation: 2 / inner };
  if (/lm_head/.test(name)) return { mean: 0, deviation: 2.5 / inner };
  if (/down_proj/.test(name)) return { mean: 0, deviation: 1.5 / inner };
  return { mean: 0, deviation: 1 / inner };
}

/** 32-bit integers by George Marsaglia's xorshift. */
class Xorshift {
  #state: number;

  constructor(seed: number) {
    // Mixed, since neighbouring seeds would start similarly, and 0 would stay 0.
    let state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b);
    state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
    this.#state = (state ^ (state >>> 16)) | 0 || 1;
  }

  next(): number {
    let state = this.#state;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#state = state;
    return state >>> 0;
  }
}

const tableSize = 1 << 16;
const normals = makeNormals();

/** Normal deviates by the Box-Muller method. */
function makeNormals(): Float32Array {
  const random = new Xorshift(0);
  const uniform = () => (random.next() + 0.5) / 2 ** 32;
  return Float32Array.from(
    { length: tableSize },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

/** f32 values as bf16, ties to even. */
function narrow(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(bits, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16);
}

/** Rounds to f16 towards zero; only for numbers in the range of normal f16. */
function halfBits(value: number): number {
  const [bits = 0] = new Uint32Array(Float32Array.of(value).buffer);
  return ((bits >>> 16) & 0x8000) | ((((bits & 0x7fffffff) >>> 13) - (112 << 10)) & 0x7fff);
}

/** Streams the bf16 elements of tensors, which depend only on seed, index in the checkpoint, name and shape. */
export class RandomWeights {
  readonly #tables = new Map<string, Uint16Array>();

  constructor(readonly seed: number) {}

  /**
   * Refills `buffer` until the tensor is complete.
   *
   * @param buffer an even number of elements
   * @returns yields the filled part of the buffer each time
   */
  *fill(
    tensor: { readonly name: string; readonly shape: readonly number[]; readonly index: number },
    buffer: Uint32Array,
  ): Generator<Uint8Array> {
    const random = new Xorshift(Math.imul(this.seed, 1_000_003) + tensor.index);
    const table = this.#tableOf(distributionOf(tensor.name, tensor.shape));
    const elements = tensor.shape.reduce((product, size) => product * size, 1);
    for (let done = 0; done < elements; done += 2 * buffer.length) {
      const count = Math.min(2 * buffer.length, elements - done);
      // Draws from the table of deviates: two elements from one integer.
      for (let i = 0; 2 * i < count; i++) {
        const word = random.next();
        buffer[i] = (table[word & 0xffff] as number) | ((table[word >>> 16] as number) << 16);
      }
      yield new Uint8Array(buffer.buffer, buffer.byteOffset, 2 * count);
    }
  }

  /** The same for the integers of a quantized weight, uniformly distributed. */
  *fillIntegers(
    tensor: { readonly bytes: number; readonly index: number },
    buffer: Uint32Array,
  ): Generator<Uint8Array> {
    const random = new Xorshift(Math.imul(this.seed, 1_000_003) + tensor.index);
    for (let done = 0; done < tensor.bytes; done += 4 * buffer.length) {
      const count = Math.min(4 * buffer.length, tensor.bytes - done);
      for (let i = 0; 4 * i < count; i++) buffer[i] = random.next();
      yield new Uint8Array(buffer.buffer, buffer.byteOffset, count);
    }
  }

  /** The same for scales or minimums, which all have one value: f16, two of them in each element of the buffer. */
  *fillConstant(
    tensor: { readonly bytes: number },
    value: number,
    buffer: Uint32Array,
  ): Generator<Uint8Array> {
    buffer.fill(halfBits(value) * 0x10001);
    for (let done = 0; done < tensor.bytes; done += 4 * buffer.length) {
      yield new Uint8Array(
        buffer.buffer,
        buffer.byteOffset,
        Math.min(4 * buffer.length, tensor.bytes - done),
      );
    }
  }

  #tableOf({ mean, deviation }: Distribution): Uint16Array {
    const key = `${mean} ${deviation}`;
    const table = this.#tables.get(key) ?? narrow(normals.map((value) => mean + deviation * value));
    this.#tables.set(key, table);
    return table;
  }
}
