import { demand, refuse, refuseUnsupported, SHARED_EXPERTS } from './demands';
import type { Family } from './family';
import { qwenNames } from './names';
import { nextPosition } from './prediction';
import { architectureOf, attentionOf, readExperts, readSizes } from './sizes';

/** Qwen3-MoE trained on as a diffusion model: no mask of attention. */
export const rnd1: Family = {
  name: 'rnd1',
  title: 'RND1',
  modelTypes: ['rnd1'],
  names: qwenNames,
  tokens: {},
  preset: {},
  needsMask: true,
  read(fields) {
    refuseUnsupported(fields);
    refuse(fields, ['mlp_only_layers', 'is_causal', ...SHARED_EXPERTS]);
    demand(fields, 'decoder_sparse_step', 1);
    demand(fields, 'use_qk_norm', true);
    const sizes = readSizes(fields);
    const experts = readExperts(fields, 'moe_intermediate_size', {
      normalise: fields.boolean('norm_topk_prob'),
    });
    const attention = attentionOf(sizes, { bias: false, headNorms: true, block: 0 });
    return architectureOf(sizes, attention, () => experts, nextPosition);
  },
};
