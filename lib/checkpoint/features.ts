import type { Fields } from './fields';

/** Switches of related models: absent, null, false, 0 and empty mean off; anything else is not implemented. */
const SWITCHES = [
  'attention_bias',
  'mlp_bias',
  'qkv_bias',
  'use_sliding_window',
  'mlp_only_layers',
  'is_causal',
  'compression_config',
  'shared_expert_intermediate_size',
  'num_shared_experts',
  'n_shared_experts',
  'final_logit_softcapping',
  'attn_logit_softcapping',
];

/** Throws `unsupported_model`, naming the key, for features that this package does not implement. */
export function refuseUnsupported(fields: Fields): void {
  for (const key of SWITCHES) {
    if (!isOff(fields.get(key))) throw fields.unsupported(key, 'off');
  }
  // With the switch off, the window's size means nothing; without the switch, a size turns it on.
  if (!isOff(fields.get('sliding_window')) && fields.get('use_sliding_window') === undefined) {
    throw fields.unsupported('sliding_window', 'off');
  }
  if (!isPlainRope(fields.get('rope_scaling'), [])) {
    throw fields.unsupported('rope_scaling', 'off');
  }
  if (!isPlainRope(fields.get('rope_parameters'), ['rope_theta'])) {
    throw fields.unsupported('rope_parameters', 'rope_type "default" with rope_theta');
  }
  demand(fields, 'hidden_act', 'silu');
  demand(fields, 'decoder_sparse_step', 1);
  demand(fields, 'partial_rotary_factor', 1);
  demand(fields, 'use_qk_norm', true);
  const kinds = fields.get('layer_types');
  if (kinds !== undefined && !(Array.isArray(kinds) && kinds.every((kind) => kind === 'full_attention'))) {
    throw fields.unsupported('layer_types', '"full_attention"');
  }
}

function demand(fields: Fields, key: string, supported: unknown): void {
  const value = fields.get(key);
  if (value !== undefined && value !== supported) throw fields.unsupported(key, JSON.stringify(supported));
}

/** Whether a setting is off. */
export function isOff(value: unknown): boolean {
  return (
    value === undefined || value === false || value === 0 || (Array.isArray(value) && value.length === 0)
  );
}

/** RoPE without scaling: off, or the default type with only `allowed` settings. */
function isPlainRope(value: unknown, allowed: readonly string[]): boolean {
  if (isOff(value)) return true;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(([key, setting]) => {
    if (key === 'rope_type' || key === 'type') return setting === 'default';
    if (key === 'partial_rotary_factor') return setting === 1;
    return setting === null || allowed.includes(key);
  });
}
