import type { QuantizedGroup, QuantizedType } from '../../types/native';
import { RND1Error } from '../support/errors';
import { Fields, isOff } from '../support/fields';
import { quote } from './format';

/** Matmul weights as integers of 8, 5 or 4 bits: docs/quantization.md. */
export interface IntegerQuantization {
  /** 8, 5 or 4 bits per weight. */
  readonly dtype: 'q8' | 'q5' | 'q4';
  /** Columns of a row that share a scale; 32 if 64 does not divide the columns of a weight. */
  readonly group: 64 | 32;
}

/** Matmul weights, but for the head, as floating-point numbers of 8 bits (e4m3). */
export interface Fp8Quantization {
  /** e4m3, with a scale for each block. */
  readonly dtype: 'fp8';
  /** Rows and columns that share a scale. */
  readonly group: 128;
}

/** Matmul weights of attention and the head in 8 bits, those of MLPs and experts in 5 or 4. */
export interface MixedQuantization {
  /** 8 and 5, or 8 and 4 bits per weight. */
  readonly dtype: 'q5m' | 'q4m';
  /** Columns of a row that share a scale, as of `IntegerQuantization`. */
  readonly group: 64 | 32;
}

/** How one weight is stored in 8, 5 or 4 bits. */
export type WeightFormat = IntegerQuantization | Fp8Quantization;

/** How the matmul weights of a model are stored in 8, 5 or 4 bits. */
export type Quantization = WeightFormat | MixedQuantization;

/** One of the tensors that a quantized weight is stored as. */
export interface QuantizedPart {
  readonly name: string;
  /** As safetensors spells it. */
  readonly dtype: 'U8' | 'F16' | 'F8_E4M3' | 'F32';
  readonly shape: readonly number[];
  readonly bytes: number;
  /** Bytes of the rows stored together: 16; fp8: the 128 of a block. */
  readonly panelBytes: number;
}

export interface QuantizedParts<Group extends QuantizedGroup = QuantizedGroup> {
  readonly group: Group;
  readonly data: QuantizedPart;
  readonly scales: QuantizedPart;
  /** null if the format has none. */
  readonly minimums: QuantizedPart | null;
}

/** The formats of integers, finest first. */
export const integerTypes = ['q8', 'q5m', 'q5', 'q4m', 'q4'] as const;

/** All formats, as options name them. */
export const quantizedTypes = [...integerTypes, 'fp8'] as const satisfies readonly Quantization['dtype'][];

/** Rows and columns of a block of fp8, which has one scale. */
export const fp8Block = 128;

/** As fp8 checkpoints name a weight's scales. */
export const fp8ScalesOf = (name: string): string => `${name}_scale_inv`;

/** Rows stored together, so that one vector register holds a few columns of all of them; fp8: that share scales. */
const panelRowsOf = (dtype: QuantizedType) => (dtype === 'fp8' ? fp8Block : 16);

/** The key of `__metadata__` that names the format of integers. */
export const formatKey = 'rnd1.format';

/** What `__metadata__` says of the format; nothing of fp8, which config.json and the tensors describe. */
export const formatMetadata = ({ dtype, group }: Quantization): Record<string, string> =>
  dtype === 'fp8' ? {} : { [formatKey]: dtype, 'rnd1.group': String(group) };

/** The weights that q5m and q4m have in 8 bits: few, and those on which predictions depend most. */
const inEightBits = /\.attention\.(?:query|key|value|output)$|^head$/;

/**
 * The format of a weight in a checkpoint of this quantization; null if it is not quantized. The head of fp8 is left as it
 * is, as other programs expect.
 */
export function formatOf(
  quantization: Quantization,
  { matmul, role = '' }: { readonly matmul: boolean; readonly role: string | undefined },
): WeightFormat | null {
  if (!matmul) return null;
  if (isMixed(quantization) && inEightBits.test(role)) return { dtype: 'q8', group: quantization.group };
  return quantization.dtype === 'fp8' && role === 'head' ? null : mainFormat(quantization);
}

/** Whether weights differ in format. */
export const isMixed = (quantization: Quantization): quantization is MixedQuantization =>
  quantization.dtype === 'q5m' || quantization.dtype === 'q4m';

/** The format of most weights. */
export const mainFormat = (quantization: Quantization): WeightFormat =>
  isMixed(quantization)
    ? { dtype: quantization.dtype === 'q5m' ? 'q5' : 'q4', group: quantization.group }
    : quantization;

/** The `dtype` of a new quantization, in groups of `group` if the format has a choice. */
export const quantizationOf = (dtype: Quantization['dtype'], group: 64 | 32): Quantization =>
  dtype === 'fp8' ? { dtype, group: fp8Block } : { dtype, group };

/**
 * config.json's entry for a quantized checkpoint. `unconverted`: the modules whose matrices are not quantized, which
 * readers of fp8 checkpoints ask for.
 */
export function quantizationConfig(
  { dtype, group }: Quantization,
  unconverted: readonly string[] = [],
): Record<string, unknown> {
  if (dtype !== 'fp8') return { quant_method: 'rnd1', version: 1, dtype, group_size: group };
  return {
    quant_method: 'fp8',
    fmt: 'e4m3',
    activation_scheme: 'dynamic',
    weight_block_size: [fp8Block, fp8Block],
    modules_to_not_convert: unconverted,
  };
}

/**
 * `quantization_config` of config.json; null if it is off.
 * Throws `unsupported_model`, naming the key, for other formats and later versions.
 */
export function readQuantization(fields: Fields): Quantization | null {
  const value = fields.get('quantization_config');
  if (isOff(value)) return null;
  const methods = 'quant_method "rnd1" and "fp8"';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw fields.unsupported('quantization_config', methods);
  }
  const inner = new Fields(`${fields.path}: quantization_config`, value as Record<string, unknown>);
  const method = inner.get('quant_method');
  if (method === 'fp8') return readFp8(inner);
  if (method !== 'rnd1') throw fields.unsupported('quantization_config', methods);
  const [version, dtype, group] = [inner.get('version'), inner.get('dtype'), inner.get('group_size')];
  if (version !== 1) throw inner.unsupported('version', '1');
  const known = integerTypes.find((type) => type === dtype);
  if (known === undefined) throw inner.unsupported('dtype', '"q8", "q5m", "q5", "q4m" and "q4"');
  if (group !== 64 && group !== 32) throw inner.unsupported('group_size', '64 and 32');
  return { dtype: known, group };
}

/** Which weights are in fp8 their tensors say: those with scales. */
function readFp8(inner: Fields): Quantization {
  const format = inner.get('fmt') ?? 'e4m3';
  if (format !== 'e4m3') throw inner.unsupported('fmt', '"e4m3"');
  const scheme = inner.get('activation_scheme') ?? 'dynamic';
  if (scheme !== 'dynamic') throw inner.unsupported('activation_scheme', '"dynamic"');
  const size = inner.get('weight_block_size');
  if (!Array.isArray(size) || size.length !== 2 || size.some((side) => side !== fp8Block)) {
    throw inner.unsupported('weight_block_size', '[128, 128]');
  }
  return { dtype: 'fp8', group: fp8Block };
}

/**
 * Refuses a quantized tensor of several roles unless each begins with a panel, or with a block of fp8.
 * Throws `unsupported_model`, naming the tensor. `where`: the folder or file.
 */
export function checkPanels(
  where: string,
  name: string,
  rows: readonly number[],
  { dtype }: WeightFormat,
): void {
  const panelRows = panelRowsOf(dtype);
  const split = rows.slice(0, -1).find((count) => count % panelRows !== 0);
  if (split === undefined) return;
  throw new RND1Error(
    'unsupported_model',
    `${where}: tensor ${quote(name)} holds weights of ${rows.join(', ')} rows, which cannot be quantized together: ${split} is not a multiple of ${panelRows}`,
  );
}

/** Where a row's panel begins, in bytes from the beginning of the part; the row must be its first one. */
export function panelOffset(row: number, { dtype }: WeightFormat, { panelBytes }: QuantizedPart): number {
  return (row / panelRowsOf(dtype)) * panelBytes;
}

const elementBytes = { U8: 1, F8_E4M3: 1, F16: 2, F32: 4 } as const;

const product = (sizes: readonly number[]) => sizes.reduce((result, size) => result * size, 1);

/** How `columns` of a panel are split into lines of 64 bytes: of q5 five for 32 columns, one of them of fifth bits. */
const linesOf = (dtype: IntegerQuantization['dtype'], columns: number): readonly number[] =>
  ({ q8: [columns / 4], q5: [columns / 32, 5], q4: [columns / 8] })[dtype];

/** The tensors that a weight of shape [rows, columns] is stored as. */
export function quantizedParts(
  name: string,
  [rows = 0, columns = 0]: readonly number[],
  format: WeightFormat,
): QuantizedParts {
  return format.dtype === 'fp8'
    ? fp8Parts(name, [rows, columns])
    : integerParts(name, [rows, columns], format);
}

/** The same of integers. */
export function integerParts(
  name: string,
  [rows = 0, columns = 0]: readonly number[],
  quantization: IntegerQuantization,
): QuantizedParts<64 | 32> {
  const group = columns % quantization.group === 0 ? quantization.group : 32;
  const panelRows = panelRowsOf(quantization.dtype);
  const panels = Math.ceil(rows / panelRows);
  const groups = Math.ceil(columns / group);
  const part = (suffix: string, dtype: 'U8' | 'F16', shape: readonly number[]): QuantizedPart => {
    const panelBytes = product(shape.slice(1)) * elementBytes[dtype];
    return { name: `${name}${suffix}`, dtype, shape, bytes: panels * panelBytes, panelBytes };
  };
  const perGroup = [panels, groups, panelRows];
  return {
    group,
    data: part('', 'U8', [panels, ...linesOf(quantization.dtype, groups * group), panelRows, 4]),
    scales: part('.scales', 'F16', perGroup),
    minimums: quantization.dtype === 'q8' ? null : part('.minimums', 'F16', perGroup),
  };
}

/** The same of fp8. Other programs may store scales in 16 bits. */
export function fp8Parts(name: string, [rows = 0, columns = 0]: readonly number[]): QuantizedParts<128> {
  const blocks = [Math.ceil(rows / fp8Block), Math.ceil(columns / fp8Block)];
  const part = (partName: string, dtype: 'F8_E4M3' | 'F32', shape: readonly number[], perBlock: number) => ({
    name: partName,
    dtype,
    shape,
    bytes: product(shape) * elementBytes[dtype],
    panelBytes: perBlock * product(shape.slice(1)) * elementBytes[dtype],
  });
  return {
    group: fp8Block,
    data: part(name, 'F8_E4M3', [rows, columns], fp8Block),
    scales: part(fp8ScalesOf(name), 'F32', blocks, 1),
    minimums: null,
  };
}
