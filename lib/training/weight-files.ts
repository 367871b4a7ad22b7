import { safetensorsHeader, shardName, splitShards, type WrittenTensor } from '../checkpoint/writing';
import { bytesOf, roundedToBf16 } from './floats';
import type { NewFolder, Write } from './new-folder';
import type { FileSummary } from './trainer-state';

/** Bytes of a file with several tensors, at most. */
const shardBytes = 2e9;

/** A tensor whose values are written when their turn comes. */
export interface TensorEntry extends WrittenTensor {
  readonly dtype: 'F32' | 'BF16';
  readonly write: (write: Write) => Promise<void>;
}

/** What was written, by name. */
export type Written = Record<string, FileSummary>;

/** Values as a tensor's bytes, not copied if they need no rounding. */
export function encoded(values: Float32Array, dtype: TensorEntry['dtype']): Uint8Array {
  return dtype === 'F32' ? bytesOf(values) : bytesOf(roundedToBf16(values));
}

/** Elements of a shape. */
export function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Writes safetensors files named after `stem`, with an index if there are several. */
export async function writeShards(
  made: NewFolder,
  stem: string,
  entries: readonly TensorEntry[],
  signal: AbortSignal | undefined,
): Promise<Written> {
  const shards = splitShards(entries, ({ bytes }) => bytes, shardBytes);
  const written: Written = {};
  const map: Record<string, string> = {};
  for (const [i, shard] of shards.entries()) {
    const name = shardName(i, shards.length).replace('model', stem);
    written[name] = await made.file(name, async (write) => {
      await write(safetensorsHeader(shard, { format: 'pt' }));
      for (const entry of shard) {
        signal?.throwIfAborted();
        map[entry.name] = name;
        await entry.write(write);
      }
    });
  }
  if (shards.length > 1) {
    const total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
    const index = { metadata: { total_size: total }, weight_map: map };
    await made.text(`${stem}.safetensors.index.json`, `${JSON.stringify(index, null, 2)}\n`);
  }
  return written;
}
