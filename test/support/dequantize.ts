import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readTensors, type Stored, safetensorsBytes } from './safetensors';

function half(bytes: Buffer, index: number): number {
  const bits = bytes.readUInt16LE(2 * index);
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
  return bits & 0x8000 ? -size : size;
}

/** The f32 matrix that integers, scales and minimums stand for; docs/quantization.md describes their layout. */
function matrix(shape: readonly number[], data: Stored, scales: Stored, minimums?: Stored): Buffer {
  const [rows, columns] = shape as [number, number];
  const [panels, groups] = scales.shape as [number, number, number];
  const five = data.shape.length === 5;
  const perLine = minimums === undefined ? 4 : 8;
  const linesPerPanel = data.bytes.length / (panels * 64);
  const group = (linesPerPanel * (five ? 32 / 5 : perLine)) / groups;
  const values = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    const [panel, lane] = [Math.floor(row / 16), row % 16];
    const byteAt = (line: number, column: number) =>
      data.bytes[((panel * linesPerPanel + line) * 16 + lane) * 4 + (column % 4)] as number;
    const nibbleAt = (line: number, column: number) => {
      const byte = byteAt(line, column);
      return column % 8 < 4 ? byte & 15 : byte >> 4;
    };
    const storedAt = (column: number) => {
      if (minimums === undefined) return byteAt(Math.floor(column / 4), column) - 128;
      if (!five) return nibbleAt(Math.floor(column / 8), column);
      const first = 5 * Math.floor(column / 32);
      const fifth = (byteAt(first + 4, column) >> Math.floor((column % 32) / 4)) & 1;
      return nibbleAt(first + Math.floor((column % 32) / 8), column) + 16 * fifth;
    };
    for (let column = 0; column < columns; column++) {
      const at = (panel * groups + Math.floor(column / group)) * 16 + lane;
      const minimum = minimums === undefined ? 0 : half(minimums.bytes, at);
      values[row * columns + column] = half(scales.bytes, at) * storedAt(column) + minimum;
    }
  }
  return Buffer.from(values.buffer);
}

/** A number of e4m3: a sign, 4 bits of exponent with bias 7, 3 of fraction. */
function fp8(bits: number): number {
  const [exponent, fraction] = [(bits >> 3) & 15, bits & 7];
  const size = exponent === 0 ? fraction * 2 ** -9 : (8 + fraction) * 2 ** (exponent - 10);
  return bits & 0x80 ? -size : size;
}

/** The same of numbers in fp8, whose blocks of 128 × 128 have scales in F32 or BF16. */
function fp8Matrix(data: Stored, scales: Stored): Buffer {
  const columns = data.shape[1] as number;
  const scaleAt = (index: number) =>
    scales.dtype === 'F32'
      ? scales.bytes.readFloatLE(4 * index)
      : new Float32Array(Uint32Array.of(scales.bytes.readUInt16LE(2 * index) << 16).buffer)[0];
  const values = Float32Array.from(data.bytes, (bits, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    const block = Math.floor(row / 128) * (scales.shape[1] as number) + Math.floor(column / 128);
    return fp8(bits) * (scaleAt(block) as number);
  });
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
  const tensors = new Map<string, Stored>();
  let count = 0;
  for (const [name, { shape }] of readTensors(original)) {
    const data = stored.get(name);
    if (data === undefined) throw new Error(`${quantized} has no ${name}`);
    const blockScales = stored.get(`${name}_scale_inv`);
    const scales = stored.get(`${name}.scales`) ?? blockScales;
    const bytes = blockScales
      ? fp8Matrix(data, blockScales)
      : scales
        ? matrix(shape, data, scales, stored.get(`${name}.minimums`))
        : data.bytes;
    tensors.set(name, { dtype: scales ? 'F32' : data.dtype, shape, bytes });
    if (scales) count++;
  }
  writeFileSync(join(output, 'model.safetensors'), safetensorsBytes(tensors));
  for (const name of ['config.json', 'generation_config.json'])
    copyFileSync(join(original, name), join(output, name));
  return count;
}
