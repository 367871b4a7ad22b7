import type {
  Architecture,
  BlockType,
  FloatType,
  LayerDescription,
  NativeFloatTensor,
  NativeTensor,
} from '../../types/native';
import { familyNamed } from '../families';
import type { TensorNames } from '../families/family';
import { storedName } from '../families/names';
import { expertsOf } from '../families/traits';
import { RND1Error } from '../support/errors';
import type { ModelConfig } from './config';
import { quote } from './format';
import { keptPrecision, mostlyKept } from './gguf/kept-precision';
import { ENTRY_LIMIT } from './json-reader';
import type { Manifest } from './manifest';
import {
  formatKey,
  formatOf,
  fp8Block,
  fp8ScalesOf,
  type Quantization,
  quantizedParts,
  type WeightFormat,
} from './quantization';
import { Selection } from './selection';

/** A weight that the model needs. */
export interface ExpectedTensor {
  /** What the model uses it as: types/native.d.ts has the table. */
  readonly role: string;
  readonly shape: readonly number[];
  /** Whether it is the matrix of a matmul that may be quantized. */
  readonly matmul: boolean;
}

/** A tensor of the checkpoint with the weights that are its rows, mostly a single one. */
export interface StoredTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly matmul: boolean;
  readonly parts: readonly ExpectedTensor[];
}

/** An unquantized tensor in its file. */
export interface FoundTensor extends StoredTensor {
  readonly file: number;
  readonly offset: number;
  /** Length in the file. */
  readonly bytes: number;
  readonly dtype: FloatType;
  /** As in `NativeFloatTensor`. */
  readonly blocks?: BlockType;
  readonly blockScales?: NativeFloatTensor['blockScales'];
  readonly headRows?: number;
}

/** The tensors of a manifest that the model needs. */
export interface SelectedTensors {
  /** By role, in the order of `expectedTensors`. */
  readonly tensors: readonly NativeTensor[];
  /** The unquantized tensors as they are stored, each once. */
  readonly stored: readonly FoundTensor[];
  /** Names in the checkpoint that the model does not need. */
  readonly unknown: readonly string[];
  /** The dtype of most bytes of unquantized tensors: the compute dtype of `dtype: 'auto'`. */
  readonly dtype: FloatType;
  /** The dtype of the matmul weights. */
  readonly weights: FloatType | Quantization['dtype'];
  /**
   * How the matmul weights of a GGUF file are quantized by `dtype: 'auto'`, by role, and on a GPU those in fp8; empty if
   * none are in blocks.
   */
  readonly kept: ReadonlyMap<string, WeightFormat>;
  /** Bytes of `tensors`. */
  readonly bytes: number;
  /** Tensors ignored because of the configuration. */
  readonly warnings: readonly string[];
}

/** Every weight that a model needs: embedding, layers, final norm, untied LM head. */
export function* expectedTensors(architecture: Architecture): Generator<ExpectedTensor> {
  const { layers, hidden, vocabulary, tiedHead } = architecture;
  yield { role: 'embedding', shape: [vocabulary, hidden], matmul: false };
  for (const [index, layer] of layers.entries()) yield* tensorsOfLayer(`layers.${index}`, hidden, layer);
  yield { role: 'norm', shape: [hidden], matmul: false };
  if (!tiedHead) yield { role: 'head', shape: [vocabulary, hidden], matmul: true };
}

/** Bytes of these weights in memory if those of matmuls are quantized and the others have `dtype`. */
export function quantizedBytes(
  architecture: Architecture,
  dtype: FloatType,
  quantization: Quantization,
): number {
  let bytes = 0;
  for (const tensor of expectedTensors(architecture)) {
    const { role, shape } = tensor;
    const format = formatOf(quantization, tensor);
    if (format !== null) {
      const { data, scales, minimums } = quantizedParts(role, shape, format);
      bytes += data.bytes + scales.bytes + (minimums?.bytes ?? 0);
    } else {
      bytes += shape.reduce((product, size) => product * size, dtype === 'f32' ? 4 : 2);
    }
  }
  return bytes;
}

function* tensorsOfLayer(
  prefix: string,
  hidden: number,
  { attention, mlp }: LayerDescription,
): Generator<ExpectedTensor> {
  const matrix = (role: string, rows: number, columns: number) => ({
    role: `${prefix}.${role}`,
    shape: [rows, columns],
    matmul: true,
  });
  const vector = (role: string, size: number) => ({
    role: `${prefix}.${role}`,
    shape: [size],
    matmul: false,
  });
  const { heads, keyValueHeads, headDim } = attention;
  const projections = [
    ['query', heads * headDim],
    ['key', keyValueHeads * headDim],
    ['value', keyValueHeads * headDim],
  ] as const;
  yield vector('attention.norm', hidden);
  for (const [name, rows] of projections) yield matrix(`attention.${name}`, rows, hidden);
  if (attention.bias) for (const [name, rows] of projections) yield vector(`attention.${name}Bias`, rows);
  if (attention.headNorms) {
    yield vector('attention.queryNorm', headDim);
    yield vector('attention.keyNorm', headDim);
  }
  yield matrix('attention.output', hidden, heads * headDim);
  yield vector('mlp.norm', hidden);
  function* mlpOf(role: string, width: number) {
    yield matrix(`${role}.gate`, width, hidden);
    yield matrix(`${role}.up`, width, hidden);
    yield matrix(`${role}.down`, hidden, width);
  }
  if (mlp.kind === 'dense') {
    yield* mlpOf('mlp', mlp.width);
    return;
  }
  yield { ...matrix('mlp.router', mlp.experts, hidden), matmul: false };
  if (mlp.router.selectionBias) yield vector('mlp.selectionBias', mlp.experts);
  for (let expert = 0; expert < mlp.experts; expert++) yield* mlpOf(`mlp.experts.${expert}`, mlp.width);
  if (mlp.sharedWidth > 0) yield* mlpOf('mlp.shared', mlp.sharedWidth);
}

/** How many weights `expectedTensors` yields. */
export function expectedTensorCount({ layers, tiedHead }: Architecture): number {
  const ofLayer = ({ attention, mlp }: LayerDescription) => {
    const ofAttention = 6 + (attention.bias ? 3 : 0) + (attention.headNorms ? 2 : 0);
    if (mlp.kind === 'dense') return ofAttention + 3;
    const besides = 1 + (mlp.router.selectionBias ? 1 : 0) + (mlp.sharedWidth > 0 ? 3 : 0);
    return ofAttention + besides + 3 * mlp.experts;
  };
  return 2 + layers.reduce((sum, layer) => sum + ofLayer(layer), 0) + (tiedHead ? 0 : 1);
}

/** The tensors that hold the expected ones: neighbours of the same name are the rows of one. */
export function* storedTensors(architecture: Architecture, names: TensorNames): Generator<StoredTensor> {
  let name = '';
  let parts: ExpectedTensor[] = [];
  for (const tensor of expectedTensors(architecture)) {
    const next = storedName(names, tensor.role);
    if (next !== name && parts.length > 0) yield joined(name, parts);
    parts = next === name ? [...parts, tensor] : [tensor];
    name = next;
  }
  yield joined(name, parts);
}

function joined(name: string, parts: readonly ExpectedTensor[]): StoredTensor {
  const [first, ...others] = parts as [ExpectedTensor, ...ExpectedTensor[]];
  const [rows = 0, ...columns] = first.shape;
  const sum = others.reduce((total, { shape: [more = 0] }) => total + more, rows);
  return { name, shape: [sum, ...columns], matmul: first.matmul, parts };
}

/**
 * Finds every tensor that the model needs and checks shape and dtype, for quantized weights part by part.
 * Throws `invalid_checkpoint`, naming file and tensor, for tensors that are missing or have a wrong shape or dtype, and
 * `unsupported_model` for quantized ones of several weights that share a panel.
 */
export function selectTensors(
  manifest: Manifest,
  {
    family,
    architecture,
    quantization,
    raw,
  }: Pick<ModelConfig, 'family' | 'architecture' | 'quantization' | 'raw'>,
): SelectedTensors {
  const { names = familyNamed(family).names } = manifest;
  refuseAbsurd(manifest, architecture);
  checkFormat(manifest, quantization);
  const selection = new Selection(manifest);
  for (const tensor of storedTensors(architecture, names)) {
    const { matmul, parts } = tensor;
    if (quantization?.dtype === 'fp8' && matmul && manifest.tensors.has(fp8ScalesOf(tensor.name))) {
      selection.addFp8(tensor, quantization);
      continue;
    }
    const format = quantization && formatOf(quantization, { matmul, role: parts[0]?.role });
    if (format !== null && format.dtype !== 'fp8') {
      selection.addQuantized(tensor, format);
    } else selection.addUnquantized(tensor, storedEmbedding(manifest, architecture, tensor, names));
  }
  selection.check();
  const headName = storedName(names, 'head');
  const kept = quantization?.dtype === 'fp8' ? inFp8(selection.matrices) : keptPrecision(selection.matrices);
  const tied = raw.weight_tying === true ? 'weight_tying' : 'tie_word_embeddings';
  return {
    tensors: selection.tensors,
    stored: selection.stored,
    unknown: selection.unknown(),
    dtype: selection.wideDtype(),
    weights: quantization?.dtype ?? mostlyKept(selection.matrices, kept) ?? selection.wideDtype(),
    kept,
    bytes: selection.bytes,
    warnings:
      architecture.tiedHead && selection.isUnknown(headName)
        ? [`${manifest.folder}: ${headName} is ignored: ${tied} is true`]
        : [],
  };
}

/** Those in fp8 stay so. */
function inFp8(matrices: readonly NativeTensor[]): SelectedTensors['kept'] {
  const roles = matrices.filter((matrix) => 'blocks' in matrix && matrix.blocks === 'F8_E4M3');
  return new Map(roles.map(({ role }) => [role, { dtype: 'fp8', group: fp8Block }]));
}

/** Throws if the checkpoint cannot have as many tensors, before they are listed. */
function refuseAbsurd(manifest: Manifest, architecture: Architecture): void {
  const count = expectedTensorCount(architecture);
  if (count <= ENTRY_LIMIT) return;
  const [first] = expertsOf(architecture);
  const experts = first === undefined ? '' : ` of ${first.experts} experts`;
  throw new RND1Error(
    'invalid_checkpoint',
    `${manifest.folder}: ${architecture.layers.length} layers${experts} would need ${count} tensors; the checkpoint has ${manifest.tensors.size}`,
  );
}

/** A tensor's name here. If tied, some writers give the embedding the LM head's, the first in the alphabet. */
function storedEmbedding(
  { tensors }: Manifest,
  { tiedHead }: Architecture,
  { name, parts }: StoredTensor,
  names: TensorNames,
): string {
  if (!tiedHead || parts[0]?.role !== 'embedding' || tensors.has(name)) return name;
  const head = storedName(names, 'head');
  return tensors.has(head) ? head : name;
}

/** The files say which format they are in; config.json must say the same. */
function checkFormat(manifest: Manifest, quantization: Quantization | null): void {
  const format = manifest.metadata.get(formatKey);
  if (format === undefined || format === quantization?.dtype) return;
  const said = quantization === null ? 'has no quantization_config' : `says ${quantization.dtype}`;
  throw new RND1Error(
    'invalid_checkpoint',
    `${manifest.folder}: the weights are ${quote(format)}, but config.json ${said}`,
  );
}
