import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

interface Stored {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Buffer;
}

function readTensors(folder: string): Map<string, Stored> {
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

function half(bytes: Buffer, index: number): number {
  const bits = bytes.readUInt16LE(2 * index);
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -size : size;
}

/** The f32 matrix that integers, scales and minimums stand for; docs/quantization.md describes their layout. */
function matrix(shape: readonly number[], data: Stored, scales: Stored, minimums?: Stored): Buffer {
  const [rows, columns] = shape as [number, number];
  const [, groups] = scales.shape as [number, number, number];
  const perWord = minimums === undefined ? 4 : 8;
  const words = data.shape[1] as number;
  const group = (words * perWord) / groups;
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const [panel, lane] = [Math.floor(row / 16), row % 16];
    for (let column = 0; column < columns; column++) {
      const [word, place] = [Math.floor(column / perWord), column % perWord];
      const byte = data.bytes[((panel * words + word) * 16 + lane) * 4 + (place % 4)] as number;
      const at = (panel * groups + Math.floor(column / group)) * 16 + lane;
      const scale = half(scales.bytes, at);
      values[row * columns + column] =
        minimums === undefined
          ? scale * (byte - 128)
          : scale * (place < 4 ? byte & 15 : byte >> 4) + half(minimums.bytes, at);
    }
  }
  return Buffer.from(values.buffer);
}

/**
 * Writes a checkpoint in which the quantized weights of another one are f32 numbers again.
 *
 * @param original the folder that was quantized: its config.json and shapes are used
 * @param output an empty folder
 * @returns the number of weights that were quantized
 */
export function dequantizeCheckpoint(original: string, quantized: string, output: string): number {
  const stored = readTensors(quantized);
  const header: Record<string, unknown> = {};
  const parts: Buffer[] = [];
  let [bytes, count] = [0, 0];
  for (const [name, { dtype, shape }] of readTensors(original)) {
    const data = stored.get(name);
    if (data === undefined) throw new Error(`${quantized} has no ${name}`);
    const scales = stored.get(`${name}.scales`);
    const part = scales ? matrix(shape, data, scales, stored.get(`${name}.minimums`)) : data.bytes;
    header[name] = { dtype: scales ? 'F32' : dtype, shape, data_offsets: [bytes, bytes + part.length] };
    parts.push(part);
    bytes += part.length;
    if (scales) count++;
  }
  const json = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([json, Buffer.alloc(-json.length & 7, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  writeFileSync(join(output, 'model.safetensors'), Buffer.concat([length, padded, ...parts]));
  for (const name of ['config.json', 'generation_config.json'])
    copyFileSync(join(original, name), join(output, name));
  return count;
}
