import type { FloatType, NativeFloatTensor, NativeTensor } from '../../types/native';
import { RND1Error } from '../support/errors';
import { floatTypeOf } from './dtype';
import { firstFew, quote, shapeText } from './format';
import { blockTypes, isBlockType } from './gguf/tensor-types';
import type { Manifest, ManifestTensor } from './manifest';
import {
  checkPanels,
  type Fp8Quantization,
  fp8Parts,
  type IntegerQuantization,
  integerParts,
  panelOffset,
  type QuantizedPart,
} from './quantization';
import type { ExpectedTensor, FoundTensor, StoredTensor } from './tensors';

/** Weights of related models that no graph here has unless its configuration says so. */
const CHANGES_THE_RESULT =
  /(?:_proj|query_key_value|dense|attn_out)\.bias$|(?:^|\.)expert_bias$|\.shared_experts?\./;

/** The same in GGUF files, which hold nothing idle: whatever else a layer has takes part in it. */
const CHANGES_THE_RESULT_IN_GGUF = /^blk\.|^rope_|\.bias$/;

/** The weights of a tensor, with the first row of each. */
function* rowsOf({ parts }: StoredTensor): Generator<[ExpectedTensor, number]> {
  let row = 0;
  for (const part of parts) {
    yield [part, row];
    row += part.shape[0] as number;
  }
}

/** Selects tensors of a manifest one by one, and collects problems. */
export class Selection {
  bytes = 0;
  readonly tensors: NativeTensor[] = [];
  /** Those of `tensors` that are unquantized matrices of matmuls. */
  readonly matrices: NativeTensor[] = [];
  readonly stored: FoundTensor[] = [];
  #count = 0;
  readonly #manifest: Manifest;
  readonly #missing: string[] = [];
  readonly #wrong: string[] = [];
  readonly #unknown: Set<string>;
  readonly #wideBytes = new Map<FloatType, number>();

  constructor(manifest: Manifest) {
    this.#manifest = manifest;
    this.#unknown = new Set(manifest.tensors.keys());
  }

  /** `name`: its name in this checkpoint. */
  addUnquantized(tensor: StoredTensor, name: string): void {
    this.#count++;
    const found = this.#take(name, tensor.shape);
    if (found === null) return;
    const storage = this.#storageOf(found);
    if (storage === null) return;
    const { dtype } = storage;
    this.#wideBytes.set(dtype, (this.#wideBytes.get(dtype) ?? 0) + found.bytes);
    const { file, offset, bytes } = found;
    this.stored.push({ ...tensor, file, offset, bytes, ...storage });
    const rowBytes = found.bytes / (tensor.shape[0] as number);
    for (const [{ role, shape }, row] of rowsOf(tensor)) {
      const place = { file, offset: offset + row * rowBytes };
      this.#addFloat({ role, name: tensor.name, ...place, ...storage, shape }, tensor.matmul);
    }
  }

  #addFloat(tensor: NativeFloatTensor, matmul: boolean): void {
    this.tensors.push(tensor);
    if (matmul) this.matrices.push(tensor);
  }

  /** A weight in fp8: numbers and the scales of their blocks. Elsewhere than on GPUs it becomes bf16. */
  addFp8(tensor: StoredTensor, quantization: Fp8Quantization): void {
    this.#count++;
    const { name, shape, parts: weights } = tensor;
    const parts = fp8Parts(name, shape);
    const numbers = this.#take(name, parts.data.shape);
    const scales = this.#take(parts.scales.name, parts.scales.shape);
    if (numbers === null || scales === null) return;
    if (numbers.dtype !== parts.data.dtype) return void this.#refuse(numbers, `not ${parts.data.dtype}`);
    const dtype = floatTypeOf(scales.dtype);
    if (dtype === undefined) return void this.#refuse(scales, 'none of F32, F16, BF16');
    const rows = weights.map((weight) => weight.shape[0] as number);
    checkPanels(this.#manifest.files[numbers.file] as string, name, rows, quantization);
    const narrower = scales.bytes / parts.scales.bytes;
    const scalesFrom = (row: number) => ({
      file: scales.file,
      offset: scales.offset + panelOffset(row, quantization, parts.scales) * narrower,
      dtype,
    });
    const storage = { dtype: 'bf16', blocks: 'F8_E4M3' } as const;
    const { file, offset } = numbers;
    const bytes = numbers.bytes + scales.bytes;
    this.stored.push({ ...tensor, file, offset, bytes, ...storage, blockScales: scalesFrom(0) });
    for (const [{ role, shape: size }, row] of rowsOf(tensor)) {
      const place = { file, offset: offset + panelOffset(row, quantization, parts.data) };
      this.#addFloat({ role, name, ...place, ...storage, blockScales: scalesFrom(row), shape: size }, true);
    }
  }

  /** How an unquantized tensor is read; null if it cannot be. Numbers in blocks become bf16, unless loading decides. */
  #storageOf(found: ManifestTensor): Pick<NativeFloatTensor, 'dtype' | 'blocks' | 'headRows'> | null {
    const rows = found.headRows === undefined ? {} : { headRows: found.headRows };
    const dtype = floatTypeOf(found.dtype);
    if (dtype !== undefined) return { dtype, ...rows };
    const gguf = this.#manifest.names !== undefined;
    if (!gguf || !isBlockType(found.dtype)) {
      const known = ['F32', 'F16', 'BF16', ...(gguf ? blockTypes : [])];
      return this.#refuse(found, `none of ${known.join(', ')}`);
    }
    if (found.shape.length !== 2) return this.#refuse(found, 'for matrices only');
    return { dtype: 'bf16', blocks: found.dtype, ...rows };
  }

  addQuantized(tensor: StoredTensor, quantization: IntegerQuantization): void {
    this.#count++;
    const { name, shape, parts: weights } = tensor;
    const { group, ...parts } = integerParts(name, shape, quantization);
    const place = (part: QuantizedPart) => {
      const found = this.#take(part.name, part.shape);
      if (found === null) return null;
      if (found.dtype !== part.dtype) return this.#refuse(found, `not ${part.dtype}`);
      // Scales are read in place.
      if (part.dtype === 'F16' && found.offset % 2 !== 0) return this.#refuse(found, 'at an odd offset');
      return (row: number) => ({
        file: found.file,
        offset: found.offset + panelOffset(row, quantization, part),
      });
    };
    const data = place(parts.data);
    const scales = place(parts.scales);
    const minimums = parts.minimums === null ? null : place(parts.minimums);
    if (data === null || scales === null) return;
    const rows = weights.map((weight) => weight.shape[0] as number);
    checkPanels(this.#manifest.files[data(0).file] as string, name, rows, quantization);
    for (const [{ role, shape }, row] of rowsOf(tensor)) {
      this.tensors.push({
        role,
        name,
        ...data(row),
        dtype: quantization.dtype,
        shape,
        group,
        scales: scales(row),
        minimums: minimums?.(row) ?? null,
      });
    }
  }

  /** Throws if tensors were missing or wrong, or if others are left that the model would need to be what it was. */
  check(): void {
    if (this.#missing.length > 0) {
      throw new RND1Error(
        'invalid_checkpoint',
        `${this.#manifest.folder}: ${this.#missing.length} of the ${this.#count} tensors that the model needs are missing: ${firstFew(this.#missing)}`,
      );
    }
    if (this.#wrong.length > 0) throw new RND1Error('invalid_checkpoint', firstFew(this.#wrong, 3));
    this.#checkBiases();
    const changes = this.#manifest.names === undefined ? CHANGES_THE_RESULT : CHANGES_THE_RESULT_IN_GGUF;
    const ignored = this.unknown().filter((name) => changes.test(name));
    if (ignored.length > 0) {
      throw new RND1Error(
        'unsupported_model',
        `${this.#manifest.folder}: biases and shared experts that the configuration does not name: ${firstFew(ignored.map(quote))}`,
      );
    }
  }

  /** Biases of queries, keys and values are joined in memory. */
  #checkBiases(): void {
    const dtypes = new Map<string, NativeTensor>();
    for (const tensor of this.tensors) {
      const layer = /^(.*)\.(?:query|key|value)Bias$/.exec(tensor.role)?.[1];
      if (layer === undefined) continue;
      const first = dtypes.get(layer) ?? tensor;
      dtypes.set(layer, first);
      if (first.dtype === tensor.dtype) continue;
      throw new RND1Error(
        'invalid_checkpoint',
        `${this.#manifest.files[tensor.file]}: tensors ${quote(first.name)} and ${quote(tensor.name)} have different dtypes, ${first.dtype} and ${tensor.dtype}`,
      );
    }
  }

  isUnknown(name: string): boolean {
    return this.#unknown.has(name);
  }

  unknown(): string[] {
    return [...this.#unknown];
  }

  /** The unquantized dtype of most bytes. */
  wideDtype(): FloatType {
    return [...this.#wideBytes].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 'f32';
  }

  #take(name: string, shape: readonly number[]): ManifestTensor | null {
    const found = this.#manifest.tensors.get(name);
    if (!found) {
      this.#missing.push(quote(name));
      return null;
    }
    this.#unknown.delete(name);
    if (shapeText(found.shape) !== shapeText(shape)) {
      this.#wrong.push(
        `${this.#where(found)} has shape ${shapeText(found.shape)}, the configuration needs ${shapeText(shape)}`,
      );
      return null;
    }
    this.bytes += found.bytes;
    return found;
  }

  #refuse(found: ManifestTensor, problem: string): null {
    this.#wrong.push(`${this.#where(found)} is ${found.dtype}, which is ${problem}`);
    return null;
  }

  #where(found: ManifestTensor): string {
    return `${this.#manifest.files[found.file]}: tensor ${quote(found.name)}`;
  }
}
