import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** A tensor of a safetensors file. */
export interface Stored {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Buffer;
}

/** All tensors of a folder. */
export function readTensors(folder: string): Map<string, Stored> {
  const tensors = new Map<string, Stored>();
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.safetensors'))) {
    const bytes = readFileSync(join(folder, name));
    const start = 8 + Number(bytes.readBigUInt64LE(0));
    const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<string, Entry>;
    for (const [tensor, entry] of Object.entries(header)) {
      if (tensor === '__metadata__') continue;
      const [from, to] = entry.data_offsets;
      tensors.set(tensor, { ...entry, bytes: bytes.subarray(start + from, start + to) });
    }
  }
  return tensors;
}

/** The bytes of a safetensors file. */
export function safetensorsBytes(tensors: ReadonlyMap<string, Stored>): Buffer {
  const header: Record<string, unknown> = {};
  const parts: Buffer[] = [];
  let bytes = 0;
  for (const [name, { dtype, shape, bytes: part }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [bytes, bytes + part.length] };
    parts.push(part);
    bytes += part.length;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([json, Buffer.alloc(-json.length & 7, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, ...parts]);
}
