import { type Fields, isOff } from '../support/fields';

/** Switches of Transformer models that no family here has on. */
const SWITCHES = [
  'mlp_bias',
  'use_sliding_window',
  'compression_config',
  'final_logit_softcapping',
  'attn_logit_softcapping',
];

/** Biases of the projections; Dream has those of queries, keys and values. */
const BIASES = ['attention_bias', 'qkv_bias', 'include_bias', 'include_qkv_bias', 'use_bias', 'use_qkv_bias'];

/** Experts beside those of the router, as different models spell it. */
export const SHARED_EXPERTS = ['shared_expert_intermediate_size', 'num_shared_experts', 'n_shared_experts'];

/** What a family has in spite of the common demands. */
export interface Exceptions {
  /** Biases of queries, keys and values. */
  readonly biases?: boolean;
  /** A window that no implementation applies. */
  readonly idleWindow?: boolean;
  /** Share of a head's columns that is rotated. @default 1 */
  readonly partialRotaryFactor?: number;
}

/**
 * Throws `unsupported_model`, naming the key, for features of related models that the graph does not have. Absent,
 * null, false, 0 and empty mean off.
 */
export function refuseUnsupported(fields: Fields, exceptions: Exceptions = {}): void {
  const { biases = false, idleWindow = false, partialRotaryFactor = 1 } = exceptions;
  refuse(fields, [...(biases ? [] : BIASES), ...SWITCHES]);
  // With the switch off, the window's size means nothing; without the switch, a size turns it on.
  if (!idleWindow && !isOff(fields.get('sliding_window')) && fields.get('use_sliding_window') === undefined) {
    throw fields.unsupported('sliding_window', 'off');
  }
  if (!isPlainRope(fields.get('rope_scaling'), [], partialRotaryFactor)) {
    throw fields.unsupported('rope_scaling', 'off');
  }
  if (!isPlainRope(fields.get('rope_parameters'), ['rope_theta'], partialRotaryFactor)) {
    throw fields.unsupported('rope_parameters', 'rope_type "default" with rope_theta');
  }
  demand(fields, 'hidden_act', 'silu');
  demand(fields, 'partial_rotary_factor', partialRotaryFactor);
  const kinds = fields.get('layer_types');
  if (kinds !== undefined && !(Array.isArray(kinds) && kinds.every((kind) => kind === 'full_attention'))) {
    throw fields.unsupported('layer_types', '"full_attention"');
  }
}

/** Switches that must be off. */
export function refuse(fields: Fields, keys: readonly string[]): void {
  for (const key of keys) if (!isOff(fields.get(key))) throw fields.unsupported(key, 'off');
}

/** A value that must be this one, or absent. */
export function demand(fields: Fields, key: string, supported: unknown): void {
  const value = fields.get(key);
  if (value !== undefined && value !== supported) throw fields.unsupported(key, JSON.stringify(supported));
}

/** A value that must be given, because what its absence means is not supported. */
export function demandGiven(fields: Fields, key: string, supported: unknown): void {
  if (fields.get(key) === undefined) throw fields.invalid(key, JSON.stringify(supported));
  demand(fields, key, supported);
}

/** RoPE without scaling: off, or the default type with only `allowed` settings. */
function isPlainRope(value: unknown, allowed: readonly string[], partialRotaryFactor: number): boolean {
  if (isOff(value)) return true;
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(([key, setting]) => {
    if (key === 'rope_type' || key === 'type') return setting === 'default';
    if (key === 'partial_rotary_factor') return setting === partialRotaryFactor;
    return setting === null || allowed.includes(key);
  });
}
