import type { FloatType, NativeConfig, NativeTensor } from '../../types/native';
import { RND1Error } from '../errors';
import { floatTypeOf } from './dtype';
import { firstFew, quote, shapeText } from './format';
import { ENTRY_LIMIT } from './json-reader';
import type { Manifest } from './manifest';

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
  /** The dtype of most bytes: what `dtype: 'auto'` means. */
  readonly dtype: FloatType;
  /** Bytes of `tensors`. */
  readonly bytes: number;
}

/** Every tensor that a model of this configuration needs: embedding, layers, final norm, untied head. */
export function* expectedTensors(config: NativeConfig): Generator<ExpectedTensor> {
  const { layers, hidden, heads, keyValueHeads, headDim, experts, expertWidth, vocabulary } = config;
  yield { name: 'model.embed_tokens.weight', shape: [vocabulary, hidden] };
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
  if (!config.tieWordEmbeddings) yield { name: 'lm_head.weight', shape: [vocabulary, hidden] };
}

/** How many tensors `expectedTensors` yields. */
export function expectedTensorCount(config: NativeConfig): number {
  return 2 + config.layers * (9 + 3 * config.experts) + (config.tieWordEmbeddings ? 0 : 1);
}

/**
 * Finds every tensor that the model needs and checks shape and dtype.
 * Throws `invalid_checkpoint`, naming file and tensor, for what is missing, misshapen or not a float of 16 or 32 bits.
 */
export function selectTensors(manifest: Manifest, config: NativeConfig): SelectedTensors {
  const count = expectedTensorCount(config);
  if (count > ENTRY_LIMIT) {
    throw new RND1Error(
      'invalid_checkpoint',
      `${manifest.folder}: ${config.layers} layers of ${config.experts} experts would need ${count} tensors; the checkpoint has ${manifest.tensors.size}`,
    );
  }
  const tensors: NativeTensor[] = [];
  const missing: string[] = [];
  const wrong: string[] = [];
  const unknown = new Set(manifest.tensors.keys());
  const bytesOf = new Map<FloatType, number>();
  for (const { name, shape } of expectedTensors(config)) {
    const found = manifest.tensors.get(name);
    if (!found) {
      missing.push(quote(name));
      continue;
    }
    unknown.delete(name);
    const dtype = floatTypeOf(found.dtype);
    const where = `${manifest.files[found.file]}: tensor ${quote(name)}`;
    if (shapeText(found.shape) !== shapeText(shape)) {
      wrong.push(`${where} has shape ${shapeText(found.shape)}, the configuration needs ${shapeText(shape)}`);
    } else if (dtype === undefined) {
      wrong.push(`${where} is ${found.dtype}, which is none of F32, F16, BF16`);
    } else {
      tensors.push({ name, file: found.file, offset: found.offset, dtype, shape });
      bytesOf.set(dtype, (bytesOf.get(dtype) ?? 0) + found.bytes);
    }
  }
  if (missing.length > 0) {
    throw new RND1Error(
      'invalid_checkpoint',
      `${manifest.folder}: ${missing.length} of the ${count} tensors that the model needs are missing: ${firstFew(missing)}`,
    );
  }
  if (wrong.length > 0) throw new RND1Error('invalid_checkpoint', firstFew(wrong, 3));

  const byBytes = [...bytesOf].sort((a, b) => b[1] - a[1]);
  return {
    tensors,
    unknown: [...unknown],
    dtype: byBytes[0]?.[0] ?? 'f32',
    bytes: byBytes.reduce((sum, [, bytes]) => sum + bytes, 0),
  };
}
