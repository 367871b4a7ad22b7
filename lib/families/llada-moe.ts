import type { DenseDescription } from '../../types/native';
import type { Fields } from '../support/fields';
import { roleMarkers } from './chat-markers';
import { demand, demandGiven, refuse, refuseUnsupported, SHARED_EXPERTS } from './demands';
import type { Family } from './family';
import { qwenNames } from './names';
import { ownPosition } from './prediction';
import { lladaPreset } from './presets';
import { architectureOf, attentionOf, readExperts, readSizes } from './sizes';

/**
 * LLaDA-MoE-7B-A1B. Its code does not read `norm_topk_prob`, `routed_scaling_factor` and the groups of the router: an
 * expert's weight is its softmax probability.
 */
export const lladaMoe: Family = {
  name: 'llada-moe',
  title: 'LLaDA-MoE',
  modelTypes: ['llada', 'lladamoe'],
  // LLaDA has the same model_type.
  takes(fields) {
    const architectures = fields.get('architectures');
    const first: unknown = Array.isArray(architectures) ? architectures[0] : undefined;
    if (fields.get('model_type') === 'lladamoe' || first === 'LLaDAMoEModelLM') return true;
    return first !== 'LLaDAModelLM' && fields.get('num_experts') !== undefined;
  },
  names: qwenNames,
  tokens: { mask: 156895, eos: [156892], pad: 156892 },
  preset: lladaPreset,
  chat: roleMarkers,
  read(fields) {
    refuseUnsupported(fields);
    refuse(fields, ['clip_qkv', 'moe_router_enable_expert_bias', ...SHARED_EXPERTS]);
    demandGiven(fields, 'qk_layernorm', true);
    demand(fields, 'moe_router_score_function', 'softmax');
    const sizes = readSizes(fields, 'derived');
    const experts = readExperts(fields, 'expert_intermediate_size', { normalise: false });
    const hasExperts = layersWithExperts(fields, sizes.layers);
    const dense: DenseDescription | null = hasExperts.includes(false)
      ? { kind: 'dense', width: fields.size('dense_intermediate_size') }
      : null;
    const attention = attentionOf(sizes, { bias: false, headNorms: true, block: 0 });
    const mlpOf = (layer: number) => (hasExperts[layer] || dense === null ? experts : dense);
    return architectureOf(sizes, attention, mlpOf, ownPosition);
  },
};

/** `moe_layer_freq`: 1 for each layer that has experts, 0 for each dense one. */
function layersWithExperts(fields: Fields, layers: number): boolean[] {
  const value = fields.get('moe_layer_freq');
  if (value === undefined) return new Array<boolean>(layers).fill(true);
  if (Array.isArray(value) && value.length === layers && value.every((one) => one === 0 || one === 1)) {
    return value.map((one) => one === 1);
  }
  throw fields.invalid('moe_layer_freq', `a list of ${layers} zeros and ones`);
}
