import { dreamMarkers } from './chat-markers';
import { refuse, refuseUnsupported } from './demands';
import type { Family } from './family';
import { qwenNames } from './names';
import { architectureOf, attentionOf, readSizes } from './sizes';

/** Dream-7B, Dream-Coder, DiffuCoder: Qwen2.5 without the causal mask. Its biases have no key in config.json. */
export const dream: Family = {
  name: 'dream',
  title: 'Dream',
  modelTypes: ['Dream'],
  names: {
    ...qwenNames,
    'layers.N.attention.queryBias': 'model.layers.N.self_attn.q_proj.bias',
    'layers.N.attention.keyBias': 'model.layers.N.self_attn.k_proj.bias',
    'layers.N.attention.valueBias': 'model.layers.N.self_attn.v_proj.bias',
  },
  tokens: { mask: 151666, eos: [151643], pad: 151643 },
  preset: {
    schedule: 'entropy',
    counts: { type: 'linear' },
    filterOrder: 'top-p',
    reserveEnd: false,
  },
  chat: dreamMarkers,
  read(fields) {
    refuseUnsupported(fields, { biases: true });
    refuse(fields, ['use_mrope']);
    const sizes = readSizes(fields, 'derived');
    const width = fields.size('intermediate_size');
    const attention = attentionOf(sizes, { bias: true, headNorms: false, block: 0 });
    return architectureOf(sizes, attention, () => ({ kind: 'dense', width }), {
      predictionShift: 1,
      keepsFirst: false,
    });
  },
};
