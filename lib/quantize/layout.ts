import type { ShardTensor } from '../../types/native';
import {
  formatMetadata,
  formatOf,
  type Quantization,
  quantizedParts,
  type WeightFormat,
} from '../checkpoint/quantization';
import type { FoundTensor } from '../checkpoint/tensors';
import { safetensorsHeader, shardName, splitShards, type WrittenTensor } from '../checkpoint/writing';

/** One file of a quantized checkpoint. */
export interface ShardLayout {
  readonly name: string;
  /** Length, JSON and padding: everything before the first tensor. */
  readonly header: Buffer;
  /** Bytes of the whole file. */
  readonly bytes: number;
  /** Bytes of the source tensors. */
  readonly sourceBytes: number;
  readonly tensors: readonly ShardTensor[];
  /** Tensor names in file order. */
  readonly names: readonly string[];
}

/** A tensor of the original checkpoint. */
export type Source = FoundTensor;

/** A tensor of the model and its entries in the file. */
interface Conversion {
  readonly source: Source;
  readonly data: WrittenTensor;
  readonly quantized: {
    readonly dtype: WeightFormat['dtype'];
    readonly group: WeightFormat['group'];
    readonly scales: WrittenTensor;
    readonly minimums: WrittenTensor | null;
  } | null;
}

/** Contents and offsets of the files of a quantized checkpoint; a pure function of its arguments. */
export function layoutShards(
  tensors: readonly Source[],
  quantization: Quantization,
  shardBytes: number,
): ShardLayout[] {
  const conversions = tensors.map((tensor) => convert(tensor, quantization));
  const bytesOf = (conversion: Conversion) =>
    entriesOf(conversion).reduce((sum, entry) => sum + entry.bytes, 0);
  const shards = splitShards(conversions, bytesOf, shardBytes);
  return shards.map((shard, index) => layout(shard, shardName(index, shards.length), quantization));
}

/** Bytes of a tensor as numbers of its dtype. */
function unquantizedBytes({ shape, dtype }: Source): number {
  return shape.reduce((product, size) => product * size, dtype === 'f32' ? 4 : 2);
}

function convert(source: Source, quantization: Quantization): Conversion {
  const { name, shape, matmul, parts } = source;
  const format = formatOf(quantization, { matmul, role: parts[0]?.role });
  if (format === null) {
    const data = { name, dtype: source.dtype.toUpperCase(), shape, bytes: unquantizedBytes(source) };
    return { source, data, quantized: null };
  }
  const { group, data, scales, minimums } = quantizedParts(name, shape, format);
  return { source, data, quantized: { dtype: format.dtype, group, scales, minimums } };
}

function storageOf({ name, file, offset, dtype, shape, blocks, blockScales, headRows }: Source) {
  return { name, file, offset, dtype, shape, blocks, blockScales, headRows };
}

/** Integers first: their sizes are multiples of the alignment, so all of them are aligned. Those of fp8 are not. */
const ranks: Readonly<Record<string, number>> = { U8: 0, F32: 1, F16: 2, BF16: 2, F8_E4M3: 3 };

function entriesOf({ data, quantized }: Conversion): WrittenTensor[] {
  if (quantized === null) return [data];
  return quantized.minimums === null
    ? [data, quantized.scales]
    : [data, quantized.scales, quantized.minimums];
}

function layout(conversions: readonly Conversion[], name: string, quantization: Quantization): ShardLayout {
  const rank = ({ dtype }: WrittenTensor) => ranks[dtype] ?? 0;
  const entries = conversions.flatMap(entriesOf).sort((a, b) => rank(a) - rank(b));
  const metadata = { format: 'pt', ...formatMetadata(quantization) };
  const header = safetensorsHeader(entries, metadata);
  let end = header.length;
  const places = new Map<WrittenTensor, number>();
  for (const entry of entries) {
    places.set(entry, end);
    end += entry.bytes;
  }
  const placeOf = (entry: WrittenTensor) => places.get(entry) as number;
  return {
    name,
    header,
    bytes: end,
    sourceBytes: conversions.reduce((sum, { source }) => sum + source.bytes, 0),
    tensors: conversions.map(({ source, data, quantized }) => ({
      ...storageOf(source),
      data: placeOf(data),
      quantized: quantized && {
        dtype: quantized.dtype,
        group: quantized.group,
        scales: placeOf(quantized.scales),
        minimums: quantized.minimums && placeOf(quantized.minimums),
      },
    })),
    names: entries.map((entry) => entry.name),
  };
}
