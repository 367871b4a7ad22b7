import type { FloatType, NativeConfig, NativeTensor, QuantizedType } from '../../types/native';
import { RND1Error } from '../support/errors';
import { floatTypeOf } from './dtype';
import { firstFew, quote, shapeText } from './format';
import { ENTRY_LIMIT } from './json-reader';
import type { Manifest, ManifestTensor } from './manifest';
import { formatKey, isQuantizable, type Quantization, quantizedParts } from './quantization';

/** A tensor that the model needs. */
export interface ExpectedTensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** The tensors of a manifest that the model needs. */
export interface SelectedTensors {
  /** In the order of `expectedTensors`. */
  readonly tensors: readonly NativeTensor[];
  /** Names in the checkpoint that the model does not need. */
  readonly unknown: readonly string[];
  /** The dtype of most bytes of unquantized tensors: the compute dtype of `dtype: 'auto'`. */
  readonly dtype: FloatType;
  /** The dtype of the matmul weights. */
  readonly weights: FloatType | QuantizedType;
  /** Bytes of `tensors`. */
  readonly bytes: number;
  /** Tensors ignored because of the configuration. */
  readonly warnings: readonly string[];
}

const embeddingName = 'model.embed_tokens.weight';
const headName = 'lm_head.weight';

/** Every tensor that a model of this configuration needs: embedding, layers, final norm, untied LM head. */
export function* expectedTensors(config: NativeConfig): Generator<ExpectedTensor> {
  const { layers, hidden, heads, keyValueHeads, headDim, experts, expertWidth, vocabulary } = config;
  yield { name: embeddingName, shape: [vocabulary, hidden] };
  for (let layer = 0; layer < layers; layer++) {
    const prefix = `model.layers.${layer}`;
    yield { name: `${prefix}.input_layernorm.weight`, shape: [hidden] };
    yield { name: `${prefix}.self_attn.q_proj.weight`, shape: [heads * headDim, hidden] };
    yield { name: `${prefix}.self_attn.k_proj.weight`, shape: [keyValueHeads * headDim, hidden] };
    yield { name: `${prefix}.self_attn.v_proj.weight`, shape: [keyValueHeads * headDim, hidden] };
    yield { name: `${prefix}.self_attn.o_proj.weight`, shape: [hidden, heads * headDim] };
    yield { name: `${prefix}.self_attn.q_norm.weight`, shape: [headDim] };
    yield { name: `${prefix}.self_attn.k_norm.weight`, shape: [headDim] };
    yield { name: `${prefix}.post_attention_layernorm.weight`, shape: [hidden] };
    yield { name: `${prefix}.mlp.gate.weight`, shape: [experts, hidden] };
    for (let expert = 0; expert < experts; expert++) {
      const mlp = `${prefix}.mlp.experts.${expert}`;
      yield { name: `${mlp}.gate_proj.weight`, shape: [expertWidth, hidden] };
      yield { name: `${mlp}.up_proj.weight`, shape: [expertWidth, hidden] };
      yield { name: `${mlp}.down_proj.weight`, shape: [hidden, expertWidth] };
    }
  }
  yield { name: 'model.norm.weight', shape: [hidden] };
  if (!config.tieWordEmbeddings) yield { name: headName, shape: [vocabulary, hidden] };
}

/** How many tensors `expectedTensors` yields. */
export function expectedTensorCount(config: NativeConfig): number {
  return 2 + config.layers * (9 + 3 * config.experts) + (config.tieWordEmbeddings ? 0 : 1);
}

/**
 * Finds every tensor that the model needs and checks shape and dtype, for quantized weights part by part.
 * Throws `invalid_checkpoint`, naming file and tensor, for tensors that are missing or have a wrong shape or dtype.
 */
export function selectTensors(
  manifest: Manifest,
  config: NativeConfig,
  quantization: Quantization | null = null,
): SelectedTensors {
  const count = expectedTensorCount(config);
  if (count > ENTRY_LIMIT) {
    throw new RND1Error(
      'invalid_checkpoint',
      `${manifest.folder}: ${config.layers} layers of ${config.experts} experts would need ${count} tensors; the checkpoint has ${manifest.tensors.size}`,
    );
  }
  checkFormat(manifest, quantization);
  const selection = new Selection(manifest);
  const tensors: NativeTensor[] = [];
  for (const { name, shape } of expectedTensors(config)) {
    const tensor =
      quantization !== null && isQuantizable(name)
        ? selection.quantized(name, shape, quantization)
        : selection.unquantized(
            name,
            shape,
            name === embeddingName ? storedEmbedding(manifest, config) : name,
          );
    if (tensor !== null) tensors.push(tensor);
  }
  selection.check(count);
  return {
    tensors,
    unknown: selection.unknown(),
    dtype: selection.wideDtype(),
    weights: quantization?.dtype ?? selection.wideDtype(),
    bytes: selection.bytes,
    warnings:
      config.tieWordEmbeddings && selection.isUnknown(headName)
        ? [`${manifest.folder}: ${headName} is ignored: tie_word_embeddings is true`]
        : [],
  };
}

/** The embedding's stored name. If tied, some writers use that of the LM head, the first in the alphabet. */
function storedEmbedding({ tensors }: Manifest, { tieWordEmbeddings }: NativeConfig): string {
  return tieWordEmbeddings && !tensors.has(embeddingName) && tensors.has(headName) ? headName : embeddingName;
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

/** Selects tensors of a manifest one by one, and collects problems. */
class Selection {
  bytes = 0;
  readonly #manifest: Manifest;
  readonly #missing: string[] = [];
  readonly #wrong: string[] = [];
  readonly #unknown: Set<string>;
  readonly #wideBytes = new Map<FloatType, number>();

  constructor(manifest: Manifest) {
    this.#manifest = manifest;
    this.#unknown = new Set(manifest.tensors.keys());
  }

  /** `stored`: its name in the checkpoint. */
  unquantized(name: string, shape: readonly number[], stored: string): NativeTensor | null {
    const found = this.#take(stored, shape);
    if (found === null) return null;
    const dtype = floatTypeOf(found.dtype);
    if (dtype === undefined) return this.#refuse(found, 'none of F32, F16, BF16');
    this.#wideBytes.set(dtype, (this.#wideBytes.get(dtype) ?? 0) + found.bytes);
    return { name, file: found.file, offset: found.offset, dtype, shape };
  }

  quantized(name: string, shape: readonly number[], quantization: Quantization): NativeTensor | null {
    const { group, ...parts } = quantizedParts(name, shape, quantization);
    const place = (part: { name: string; dtype: string; shape: readonly number[] }) => {
      const found = this.#take(part.name, part.shape);
      if (found === null) return null;
      if (found.dtype !== part.dtype) return this.#refuse(found, `not ${part.dtype}`);
      // Scales are read in place.
      if (part.dtype === 'F16' && found.offset % 2 !== 0) return this.#refuse(found, 'at an odd offset');
      return { file: found.file, offset: found.offset };
    };
    const data = place(parts.data);
    const scales = place(parts.scales);
    const minimums = parts.minimums === null ? null : place(parts.minimums);
    if (data === null || scales === null) return null;
    return { name, ...data, dtype: quantization.dtype, shape, group, scales, minimums };
  }

  /** Throws if tensors were missing or wrong. */
  check(count: number): void {
    if (this.#missing.length > 0) {
      throw new RND1Error(
        'invalid_checkpoint',
        `${this.#manifest.folder}: ${this.#missing.length} of the ${count} tensors that the model needs are missing: ${firstFew(this.#missing)}`,
      );
    }
    if (this.#wrong.length > 0) throw new RND1Error('invalid_checkpoint', firstFew(this.#wrong, 3));
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
