import type { BlockType, FloatType, NativeTensor, QuantizedType } from '../../../types/native';
import type { IntegerQuantization, WeightFormat } from '../quantization';

/** The formats that hold the integers of blocks. */
const formats: ReadonlyMap<BlockType | undefined, IntegerQuantization['dtype']> = new Map([
  ['Q4_0', 'q4'],
  ['Q4_K', 'q4'],
  ['Q5_0', 'q5'],
  ['Q5_K', 'q5'],
]);

/**
 * How to quantize the matrices of matmuls if those in blocks shall take about as much memory as in the file, by role:
 * q4 for the types of 4 bits, q5 for those of 5, else q8. Matrices that are multiplied together have one format: if they
 * have types of different ones, all are q8. Empty if none is in blocks.
 */
export function keptPrecision(matrices: readonly NativeTensor[]): ReadonlyMap<string, WeightFormat> {
  const sets = new Map<string, NativeTensor[]>();
  for (const matrix of matrices) {
    const key = setOf(matrix.role);
    const set = sets.get(key);
    if (set === undefined) sets.set(key, [matrix]);
    else set.push(matrix);
  }
  const kept = new Map<string, WeightFormat>();
  for (const set of sets.values()) {
    const types = set.map((matrix) => ('blocks' in matrix ? matrix.blocks : undefined));
    if (types.every((type) => type === undefined)) continue;
    const [first = 'q8', ...others] = new Set(types.map((type) => formats.get(type)));
    const dtype = others.length === 0 ? first : 'q8';
    for (const { role } of set) kept.set(role, { dtype, group: 32 });
  }
  return kept;
}

/** The name of the matrices that are multiplied together with one. */
function setOf(role: string): string {
  return role
    .replace(/\.experts\.\d+\./, '.experts.')
    .replace(/\.(?:gate|up)$/, '.gateUp')
    .replace(/\.(?:query|key|value)$/, '.queryKeyValue');
}

/** The format of most numbers of the matrices; null if none are quantized. */
export function mostlyKept(
  matrices: readonly NativeTensor[],
  kept: ReadonlyMap<string, WeightFormat>,
): QuantizedType | null {
  const sums = new Map<FloatType | QuantizedType, number>();
  for (const { role, dtype, shape } of matrices) {
    const format = kept.get(role)?.dtype ?? dtype;
    sums.set(format, (sums.get(format) ?? 0) + shape.reduce((a, b) => a * b, 1));
  }
  const [most] = [...sums].sort((a, b) => b[1] - a[1])[0] ?? [];
  return most === 'q8' || most === 'q5' || most === 'q4' ? most : null;
}
