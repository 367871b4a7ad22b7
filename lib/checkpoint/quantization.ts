import type { QuantizedGroup, QuantizedType } from '../../types/native';
import { RND1Error } from '../support/errors';
import { Fields, isOff } from '../support/fields';
import { quote } from './format';

/** How matmul weights are stored as integers: docs/quantization.md. */
export interface Quantization {
  /** 8 or 4 bits per weight. */
  readonly dtype: QuantizedType;
  /** Columns that share a scale; 32 if 64 does not divide the columns of a weight. */
  readonly group: QuantizedGroup;
}

/** One of the tensors that a quantized weight is stored as. */
export interface QuantizedPart {
  readonly name: string;
  /** As safetensors spells it. */
  readonly dtype: 'U8' | 'F16';
  readonly shape: readonly number[];
  readonly bytes: number;
  /** Bytes of one panel. */
  readonly panelBytes: number;
}

export interface QuantizedParts {
  readonly group: QuantizedGroup;
  readonly data: QuantizedPart;
  readonly scales: QuantizedPart;
  /** null if the format has none. */
  readonly minimums: QuantizedPart | null;
}

/** Rows stored together, so that one vector register holds a few columns of all of them. */
const panelRows = 16;

/** The key of `__metadata__` that names the format. */
export const formatKey = 'rnd1.format';

/** config.json's entry for a quantized checkpoint. */
export function quantizationConfig({ dtype, group }: Quantization): Record<string, unknown> {
  return { quant_method: 'rnd1', version: 1, dtype, group_size: group };
}

/**
 * `quantization_config` of config.json; null if it is off.
 * Throws `unsupported_model`, naming the key, for other formats and later versions.
 */
export function readQuantization(fields: Fields): Quantization | null {
  const value = fields.get('quantization_config');
  if (isOff(value)) return null;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw fields.unsupported('quantization_config', 'quant_method "rnd1"');
  }
  const inner = new Fields(`${fields.path}: quantization_config`, value as Record<string, unknown>);
  if (inner.get('quant_method') !== 'rnd1') {
    throw fields.unsupported('quantization_config', 'quant_method "rnd1"');
  }
  const [version, dtype, group] = [inner.get('version'), inner.get('dtype'), inner.get('group_size')];
  if (version !== 1) throw inner.unsupported('version', '1');
  if (dtype !== 'q8' && dtype !== 'q4') throw inner.unsupported('dtype', '"q8" and "q4"');
  if (group !== 64 && group !== 32) throw inner.unsupported('group_size', '64 and 32');
  return { dtype, group };
}

/**
 * Refuses a quantized tensor of several roles unless each begins with a panel.
 * Throws `unsupported_model`, naming the tensor. `where`: the folder or file.
 */
export function checkPanels(where: string, name: string, rows: readonly number[]): void {
  const split = rows.slice(0, -1).find((count) => count % panelRows !== 0);
  if (split === undefined) return;
  throw new RND1Error(
    'unsupported_model',
    `${where}: tensor ${quote(name)} holds weights of ${rows.join(', ')} rows, which cannot be quantized together: ${split} is not a multiple of ${panelRows}`,
  );
}

/** Where a row's panel begins, in bytes from the beginning of the part; the row must be its first one. */
export function panelOffset(row: number, { panelBytes }: QuantizedPart): number {
  return (row / panelRows) * panelBytes;
}

const panelBytes = (dtype: 'U8' | 'F16', [, ...inner]: readonly number[]) =>
  inner.reduce((product, size) => product * size, dtype === 'U8' ? 1 : 2);

/** The tensors that a weight of shape [rows, columns] is stored as. */
export function quantizedParts(
  name: string,
  [rows = 0, columns = 0]: readonly number[],
  quantization: Quantization,
): QuantizedParts {
  const q8 = quantization.dtype === 'q8';
  const group = columns % quantization.group === 0 ? quantization.group : 32;
  const panels = Math.ceil(rows / panelRows);
  const groups = Math.ceil(columns / group);
  const part = (suffix: string, dtype: 'U8' | 'F16', shape: readonly number[]): QuantizedPart => ({
    name: `${name}${suffix}`,
    dtype,
    shape,
    bytes: panels * panelBytes(dtype, shape),
    panelBytes: panelBytes(dtype, shape),
  });
  const perGroup = [panels, groups, panelRows];
  return {
    group,
    data: part('', 'U8', [panels, (groups * group) / (q8 ? 4 : 8), panelRows, 4]),
    scales: part('.scales', 'F16', perGroup),
    minimums: q8 ? null : part('.minimums', 'F16', perGroup),
  };
}
