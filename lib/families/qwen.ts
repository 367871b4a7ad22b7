import type { Architecture, LayerDescription } from '../../types/native';
import type { Fields } from '../support/fields';
import { demand, refuse, refuseUnsupported, SHARED_EXPERTS } from './demands';
import { architectureOf, attentionOf, readExperts, readSizes } from './sizes';

/** What tells the models with Qwen3's layers apart. */
export interface QwenTraits {
  /** The block of the attention mask. */
  readonly block: number;
  readonly prediction: Pick<Architecture, 'predictionShift' | 'keepsFirst'>;
}

/** A model with the dense layers of Qwen3. */
export function readQwen3(fields: Fields, { block, prediction }: QwenTraits): Architecture {
  refuseUnsupported(fields);
  demand(fields, 'use_qk_norm', true);
  const sizes = readSizes(fields);
  const width = fields.size('intermediate_size');
  const attention = attentionOf(sizes, { bias: false, headNorms: true, block });
  return architectureOf(sizes, attention, () => ({ kind: 'dense', width }), prediction);
}

/** A model with the layers of Qwen3-MoE, some of which may be dense. */
export function readQwen3Moe(fields: Fields, { block, prediction }: QwenTraits): Architecture {
  refuseUnsupported(fields);
  refuse(fields, SHARED_EXPERTS);
  demand(fields, 'use_qk_norm', true);
  const sizes = readSizes(fields);
  const experts = readExperts(fields, 'moe_intermediate_size', {
    normalise: fields.boolean('norm_topk_prob', false),
  });
  const hasExperts = layersWithExperts(fields, sizes.layers);
  const dense: LayerDescription['mlp'] = hasExperts.includes(false)
    ? { kind: 'dense', width: fields.size('intermediate_size') }
    : experts;
  const attention = attentionOf(sizes, { bias: false, headNorms: true, block });
  return architectureOf(sizes, attention, (layer) => (hasExperts[layer] ? experts : dense), prediction);
}

/** Every `decoder_sparse_step`-th layer, but for `mlp_only_layers`. */
function layersWithExperts(fields: Fields, layers: number): boolean[] {
  const step = fields.size('decoder_sparse_step', 1);
  const dense = fields.get('mlp_only_layers') ?? [];
  if (!Array.isArray(dense) || dense.some((layer) => !Number.isInteger(layer))) {
    throw fields.invalid('mlp_only_layers', 'a list of layers');
  }
  const isDense = new Set<unknown>(dense);
  return Array.from({ length: layers }, (_, layer) => !isDense.has(layer) && (layer + 1) % step === 0);
}
