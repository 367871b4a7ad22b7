/** Reference encoders of GGUF's block types: straightforward, one block at a time. */

type BlockType = 'Q8_0' | 'Q4_0' | 'Q4_K' | 'Q5_0' | 'Q5_K' | 'Q6_K';

export type TensorType = 'F32' | 'F16' | 'BF16' | BlockType;

/** The number of a type in files, columns of a block, and its bytes. */
export const types: Readonly<Record<TensorType, readonly [number: number, columns: number, bytes: number]>> =
  {
    F32: [0, 1, 4],
    F16: [1, 1, 2],
    BF16: [30, 1, 2],
    Q8_0: [8, 32, 34],
    Q4_0: [2, 32, 18],
    Q4_K: [12, 256, 144],
    Q5_0: [6, 32, 22],
    Q5_K: [13, 256, 176],
    Q6_K: [14, 256, 210],
  };

const scratch = new DataView(new ArrayBuffer(4));

/** Bits of the nearest f16, ties to even. */
export function halfBits(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size === 0) return sign;
  if (!Number.isFinite(size) || size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(Math.floor(Math.log2(size)), -14);
  const scaled = (size / 2 ** exponent) * 1024;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
  // A mantissa that rounds up to 2048 carries into the exponent; one below 1024 is subnormal.
  return sign | ((exponent + 14) * 1024 + rounded);
}

export function halfValue(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -size : size;
}

function bf16Bits(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  return ((bits + 0x7fff + ((bits >> 16) & 1)) >>> 16) & 0xffff;
}

const clamp = (value: number, min: number, max: number) => Math.min(Math.max(value, min), max);

function extremeOf(values: Float32Array): number {
  return values.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
}

/** Q4_K and Q5_K; `last`: the largest integer. */
function encodeK(values: Float32Array, out: DataView, last: 15 | 31): void {
  const groups = Array.from({ length: 8 }, (_, i) => values.subarray(32 * i, 32 * i + 32));
  const lows = groups.map((group) => Math.max(0, -Math.min(...group)));
  const steps = groups.map((group, i) => (Math.max(...group) + (lows[i] as number)) / last);
  const [d, m] = [Math.max(...steps, 1e-6) / 63, Math.max(...lows, 1e-6) / 63];
  out.setUint16(0, halfBits(d), true);
  out.setUint16(2, halfBits(m), true);
  const s = steps.map((step) => Math.round(step / d));
  const t = lows.map((low) => Math.round(low / m));
  for (let i = 0; i < 4; i++) {
    const [s0, t0, s4, t4] = [s[i], t[i], s[i + 4], t[i + 4]] as [number, number, number, number];
    out.setUint8(4 + i, s0 | ((s4 >> 4) << 6));
    out.setUint8(8 + i, t0 | ((t4 >> 4) << 6));
    out.setUint8(12 + i, (s4 & 15) | ((t4 & 15) << 4));
  }
  groups.forEach((group, g) => {
    const scale = halfValue(halfBits(d)) * (s[g] as number);
    const minimum = halfValue(halfBits(m)) * (t[g] as number);
    group.forEach((value, i) => {
      const stored = scale === 0 ? 0 : clamp(Math.round((value + minimum) / scale), 0, last);
      if (last === 31) setBit(out, 16 + i, g, stored >> 4);
      const at = (last === 31 ? 48 : 16) + 32 * (g >> 1) + i;
      out.setUint8(at, out.getUint8(at) | ((stored & 15) << (4 * (g % 2))));
    });
  });
}

function setBit(out: DataView, byte: number, bit: number, value: number): void {
  out.setUint8(byte, out.getUint8(byte) | (value << bit));
}

const encoders: Readonly<Record<BlockType, (values: Float32Array, out: DataView) => void>> = {
  Q8_0(values, out) {
    const scale = Math.abs(extremeOf(values)) / 127;
    out.setUint16(0, halfBits(scale), true);
    values.forEach((value, i) => {
      out.setInt8(2 + i, scale === 0 ? 0 : Math.round(value / scale));
    });
  },
  Q4_0(values, out) {
    const scale = extremeOf(values) / -8;
    out.setUint16(0, halfBits(scale), true);
    const stored = values.map((value) => (scale === 0 ? 8 : clamp(Math.floor(value / scale + 8.5), 0, 15)));
    for (let i = 0; i < 16; i++)
      out.setUint8(2 + i, (stored[i] as number) | ((stored[16 + i] as number) << 4));
  },
  Q5_0(values, out) {
    const scale = extremeOf(values) / -16;
    out.setUint16(0, halfBits(scale), true);
    values.forEach((value, i) => {
      const stored = scale === 0 ? 16 : clamp(Math.floor(value / scale + 16.5), 0, 31);
      setBit(out, 2 + (i >> 3), i & 7, stored >> 4);
      const at = 6 + (i % 16);
      out.setUint8(at, out.getUint8(at) | ((stored & 15) << (i < 16 ? 0 : 4)));
    });
  },
  Q4_K: (values, out) => encodeK(values, out, 15),
  Q5_K: (values, out) => encodeK(values, out, 31),
  Q6_K(values, out) {
    const groups = Array.from({ length: 16 }, (_, i) => values.subarray(16 * i, 16 * i + 16));
    const steps = groups.map((group) => extremeOf(group) / -32);
    const d = Math.max(...steps.map(Math.abs), 1e-6) / 127;
    out.setUint16(208, halfBits(d), true);
    groups.forEach((group, g) => {
      const factor = Math.round((steps[g] as number) / d);
      out.setInt8(192 + g, factor);
      const scale = halfValue(halfBits(d)) * factor;
      group.forEach((value, i) => {
        const stored = scale === 0 ? 32 : clamp(Math.round(value / scale) + 32, 0, 63);
        const column = 16 * g + i;
        const [half, quarter, lane] = [column >> 7, (column >> 5) & 3, column & 31];
        const low = 64 * half + 32 * (quarter & 1) + lane;
        const high = 128 + 32 * half + lane;
        out.setUint8(low, out.getUint8(low) | ((stored & 15) << (4 * (quarter >> 1))));
        out.setUint8(high, out.getUint8(high) | ((stored >> 4) << (2 * quarter)));
      });
    });
  },
};

/** Numbers in the bytes of a type. */
export function encode(type: TensorType, values: Float32Array): Buffer {
  if (type === 'F32') return Buffer.from(Float32Array.from(values).buffer);
  if (type === 'F16' || type === 'BF16') {
    return Buffer.from(Uint16Array.from(values, type === 'F16' ? halfBits : bf16Bits).buffer);
  }
  const [, columns, bytes] = types[type];
  const out = Buffer.alloc((values.length / columns) * bytes);
  for (let block = 0; block * columns < values.length; block++) {
    const view = new DataView(out.buffer, out.byteOffset + block * bytes, bytes);
    encoders[type](values.subarray(block * columns, (block + 1) * columns), view);
  }
  return out;
}

function decodeK(block: DataView, column: number, five: boolean): number {
  const group = column >> 5;
  const byte = block.getUint8((five ? 48 : 16) + 32 * (group >> 1) + (column % 32));
  const fifth = five ? (block.getUint8(16 + (column % 32)) >> group) & 1 : 0;
  const stored = (group % 2 === 0 ? byte & 15 : byte >> 4) + 16 * fifth;
  const sixth = (start: number) => {
    if (group < 4) return block.getUint8(start + group) & 63;
    const low = block.getUint8(8 + group) >> (start === 4 ? 0 : 4);
    return (low & 15) | ((block.getUint8(start + group - 4) >> 6) << 4);
  };
  const [d, m] = [halfValue(block.getUint16(0, true)), halfValue(block.getUint16(2, true))];
  return d * sixth(4) * stored - m * sixth(8);
}

const decoders: Readonly<Record<BlockType, (block: DataView, column: number) => number>> = {
  Q8_0: (block, column) => halfValue(block.getUint16(0, true)) * block.getInt8(2 + column),
  Q4_0(block, column) {
    const byte = block.getUint8(2 + (column % 16));
    return halfValue(block.getUint16(0, true)) * ((column < 16 ? byte & 15 : byte >> 4) - 8);
  },
  Q5_0(block, column) {
    const byte = block.getUint8(6 + (column % 16));
    const fifth = (block.getUint8(2 + (column >> 3)) >> (column & 7)) & 1;
    return halfValue(block.getUint16(0, true)) * ((column < 16 ? byte & 15 : byte >> 4) + 16 * fifth - 16);
  },
  Q4_K: (block, column) => decodeK(block, column, false),
  Q5_K: (block, column) => decodeK(block, column, true),
  Q6_K(block, column) {
    const [half, quarter, lane] = [column >> 7, (column >> 5) & 3, column & 31];
    const low = block.getUint8(64 * half + 32 * (quarter & 1) + lane) >> (4 * (quarter >> 1));
    const high = block.getUint8(128 + 32 * half + lane) >> (2 * quarter);
    const stored = ((low & 15) | ((high & 3) << 4)) - 32;
    return halfValue(block.getUint16(208, true)) * block.getInt8(192 + (column >> 4)) * stored;
  },
};

/** The numbers that bytes of a type stand for, in f32. */
export function decode(type: TensorType, bytes: Buffer): Float32Array {
  // A copy, which is aligned.
  const copy = Uint8Array.from(bytes).buffer;
  if (type === 'F32') return new Float32Array(copy);
  if (type === 'F16') return Float32Array.from(new Uint16Array(copy), halfValue);
  if (type === 'BF16')
    return new Float32Array(Uint32Array.from(new Uint16Array(copy), (bits) => bits << 16).buffer);
  const [, columns, blockBytes] = types[type];
  const values = new Float32Array((bytes.length / blockBytes) * columns);
  for (let block = 0; block * blockBytes < bytes.length; block++) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + block * blockBytes, blockBytes);
    for (let column = 0; column < columns; column++) {
      values[block * columns + column] = decoders[type](view, column);
    }
  }
  return values;
}
