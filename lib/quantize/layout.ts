import type { NativeFloatTensor, ShardTensor } from '../../types/native';
import { formatKey, isQuantizable, type Quantization, quantizedParts } from '../checkpoint/quantization';
import { safetensorsHeader, shardName, splitShards, type WrittenTensor } from '../checkpoint/writing';

/** One file of a quantized checkpoint. */
export interface ShardLayout {
  readonly name: string;
  /** Length, JSON and padding: everything before the first tensor. */
  readonly header: Buffer;
  /** Of the whole file. */
  readonly bytes: number;
  /** Bytes that are read for it. */
  readonly sourceBytes: number;
  readonly tensors: readonly ShardTensor[];
  /** Names as they are in the file. */
  readonly names: readonly string[];
}

/** A tensor of the file, and what to tell when its place is known. */
interface Entry extends WrittenTensor {
  offset: number;
}

/** A tensor of the model with the entries that it becomes. */
interface Conversion {
  readonly source: NativeFloatTensor;
  readonly data: Entry;
  readonly quantized: {
    readonly dtype: Quantization['dtype'];
    readonly group: Quantization['group'];
    readonly scales: Entry;
    readonly minimums: Entry | null;
  } | null;
}

/** What the files of a quantized checkpoint hold, and where: it depends on the arguments alone. */
export function layoutShards(
  tensors: readonly NativeFloatTensor[],
  quantization: Quantization,
  shardBytes: number,
): ShardLayout[] {
  const conversions = tensors.map((tensor) => convert(tensor, quantization));
  const bytesOf = (conversion: Conversion) =>
    entriesOf(conversion).reduce((sum, entry) => sum + entry.bytes, 0);
  const shards = splitShards(conversions, bytesOf, shardBytes);
  return shards.map((shard, index) => layout(shard, shardName(index, shards.length), quantization));
}

/** Bytes of a tensor in a checkpoint that is not quantized. */
function sourceBytes({ shape, dtype }: NativeFloatTensor): number {
  return shape.reduce((product, size) => product * size, dtype === 'f32' ? 4 : 2);
}

function convert(source: NativeFloatTensor, quantization: Quantization): Conversion {
  const { name, shape } = source;
  if (!isQuantizable(name)) {
    const data = { name, dtype: source.dtype.toUpperCase(), shape, bytes: sourceBytes(source), offset: 0 };
    return { source, data, quantized: null };
  }
  const { group, data, scales, minimums } = quantizedParts(name, shape, quantization);
  const entry = (part: typeof data): Entry => ({ ...part, offset: 0 });
  return {
    source,
    data: entry(data),
    quantized: {
      dtype: quantization.dtype,
      group,
      scales: entry(scales),
      minimums: minimums === null ? null : entry(minimums),
    },
  };
}

function entriesOf({ data, quantized }: Conversion): Entry[] {
  if (quantized === null) return [data];
  return quantized.minimums === null
    ? [data, quantized.scales]
    : [data, quantized.scales, quantized.minimums];
}

function layout(conversions: readonly Conversion[], name: string, quantization: Quantization): ShardLayout {
  // Integers first: their sizes are multiples of the alignment, so that all of them are aligned.
  const rank = ({ dtype }: Entry) => (dtype === 'U8' ? 0 : dtype === 'F32' ? 1 : 2);
  const entries = conversions.flatMap(entriesOf).sort((a, b) => rank(a) - rank(b));
  let end = 0;
  for (const entry of entries) {
    entry.offset = end;
    end += entry.bytes;
  }
  const { dtype, group } = quantization;
  const metadata = { format: 'pt', [formatKey]: dtype, 'rnd1.group': String(group) };
  const header = safetensorsHeader(entries, metadata);
  return {
    name,
    header,
    bytes: header.length + end,
    sourceBytes: conversions.reduce((sum, { source }) => sum + sourceBytes(source), 0),
    tensors: conversions.map(({ source, data, quantized }) => ({
      ...source,
      data: header.length + data.offset,
      quantized: quantized && {
        dtype: quantized.dtype,
        group: quantized.group,
        scales: header.length + quantized.scales.offset,
        minimums: quantized.minimums && header.length + quantized.minimums.offset,
      },
    })),
    names: entries.map((entry) => entry.name),
  };
}
