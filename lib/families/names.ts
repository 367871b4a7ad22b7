import type { TensorNames } from './family';

/** Qwen3's names, which most families share; models use those of their roles. */
export const qwenNames: TensorNames = {
  embedding: 'model.embed_tokens.weight',
  'layers.N.attention.norm': 'model.layers.N.input_layernorm.weight',
  'layers.N.attention.query': 'model.layers.N.self_attn.q_proj.weight',
  'layers.N.attention.key': 'model.layers.N.self_attn.k_proj.weight',
  'layers.N.attention.value': 'model.layers.N.self_attn.v_proj.weight',
  'layers.N.attention.queryNorm': 'model.layers.N.self_attn.q_norm.weight',
  'layers.N.attention.keyNorm': 'model.layers.N.self_attn.k_norm.weight',
  'layers.N.attention.output': 'model.layers.N.self_attn.o_proj.weight',
  'layers.N.mlp.norm': 'model.layers.N.post_attention_layernorm.weight',
  'layers.N.mlp.gate': 'model.layers.N.mlp.gate_proj.weight',
  'layers.N.mlp.up': 'model.layers.N.mlp.up_proj.weight',
  'layers.N.mlp.down': 'model.layers.N.mlp.down_proj.weight',
  'layers.N.mlp.router': 'model.layers.N.mlp.gate.weight',
  'layers.N.mlp.experts.E.gate': 'model.layers.N.mlp.experts.E.gate_proj.weight',
  'layers.N.mlp.experts.E.up': 'model.layers.N.mlp.experts.E.up_proj.weight',
  'layers.N.mlp.experts.E.down': 'model.layers.N.mlp.experts.E.down_proj.weight',
  norm: 'model.norm.weight',
  head: 'lm_head.weight',
};

/** A role's name in checkpoints. */
export function storedName(names: TensorNames, role: string): string {
  const [layer = '', expert = ''] = role.match(/\d+/g) ?? [];
  const template = role.replace(/^layers\.\d+/, 'layers.N').replace(/\.experts\.\d+/, '.experts.E');
  const name = names[template];
  if (name === undefined) throw new Error(`no name for the role ${role}`);
  return name.replace('.N.', `.${layer}.`).replace('.E.', `.${expert}.`);
}
