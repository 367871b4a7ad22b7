import { type TensorType, types } from './blocks';

/** A tensor to write; the shape is row-major. */
export interface WrittenTensor {
  readonly name: string;
  readonly type: TensorType;
  readonly shape: readonly number[];
  readonly bytes: Buffer;
}

/** Values of metadata by the type that they are written as. */
export type Metadata = Readonly<
  Record<
    string,
    | { u32: number }
    | { f32: number }
    | { bool: boolean }
    | { text: string }
    | { texts: readonly string[] }
    | { i32s: readonly number[] }
  >
>;

const u32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const u64 = (value: number) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
};
const text = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

function valueBytes(value: Metadata[string]): Buffer {
  if ('u32' in value) return Buffer.concat([u32(4), u32(value.u32)]);
  if ('bool' in value) return Buffer.concat([u32(7), Buffer.from([value.bool ? 1 : 0])]);
  if ('text' in value) return Buffer.concat([u32(8), text(value.text)]);
  if ('texts' in value)
    return Buffer.concat([u32(9), u32(8), u64(value.texts.length), ...value.texts.map(text)]);
  if ('i32s' in value) {
    return Buffer.concat([
      u32(9),
      u32(5),
      u64(value.i32s.length),
      Buffer.from(Int32Array.from(value.i32s).buffer),
    ]);
  }
  return Buffer.concat([u32(6), Buffer.from(Float32Array.of(value.f32).buffer)]);
}

/** The bytes of a GGUF file of version 3. */
export function ggufBytes(metadata: Metadata, tensors: readonly WrittenTensor[], alignment = 32): Buffer {
  const pad = (length: number) => Buffer.alloc((alignment - (length % alignment)) % alignment);
  const keys = Object.entries(metadata).map(([key, value]) => Buffer.concat([text(key), valueBytes(value)]));
  let offset = 0;
  const infos: Buffer[] = [];
  const data: Buffer[] = [];
  for (const { name, type, shape, bytes } of tensors) {
    const sizes = [...shape].reverse().map(u64);
    infos.push(text(name), u32(shape.length), ...sizes, u32(types[type][0]), u64(offset));
    const padding = pad(bytes.length);
    data.push(bytes, padding);
    offset += bytes.length + padding.length;
  }
  const start = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(keys.length), ...keys, ...infos];
  const header = Buffer.concat(start);
  return Buffer.concat([header, pad(header.length), ...data]);
}
