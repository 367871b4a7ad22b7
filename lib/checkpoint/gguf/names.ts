import type { TensorNames } from '../../families/family';

/** The names of tensors in GGUF files, those of all families. A stack of experts is listed expert by expert. */
export const ggufNames: TensorNames = {
  embedding: 'token_embd.weight',
  'layers.N.attention.norm': 'blk.N.attn_norm.weight',
  'layers.N.attention.query': 'blk.N.attn_q.weight',
  'layers.N.attention.key': 'blk.N.attn_k.weight',
  'layers.N.attention.value': 'blk.N.attn_v.weight',
  'layers.N.attention.queryBias': 'blk.N.attn_q.bias',
  'layers.N.attention.keyBias': 'blk.N.attn_k.bias',
  'layers.N.attention.valueBias': 'blk.N.attn_v.bias',
  'layers.N.attention.queryNorm': 'blk.N.attn_q_norm.weight',
  'layers.N.attention.keyNorm': 'blk.N.attn_k_norm.weight',
  'layers.N.attention.output': 'blk.N.attn_output.weight',
  'layers.N.mlp.norm': 'blk.N.ffn_norm.weight',
  'layers.N.mlp.gate': 'blk.N.ffn_gate.weight',
  'layers.N.mlp.up': 'blk.N.ffn_up.weight',
  'layers.N.mlp.down': 'blk.N.ffn_down.weight',
  'layers.N.mlp.router': 'blk.N.ffn_gate_inp.weight',
  'layers.N.mlp.experts.E.gate': 'blk.N.ffn_gate_exps.E.weight',
  'layers.N.mlp.experts.E.up': 'blk.N.ffn_up_exps.E.weight',
  'layers.N.mlp.experts.E.down': 'blk.N.ffn_down_exps.E.weight',
  norm: 'output_norm.weight',
  head: 'output.weight',
};

const stack = /^(blk\.\d+\.ffn_(?:gate|up|down)_exps)\.weight$/;

/** The name of one expert of a stack; null if the tensor is no stack. */
export function expertNames(name: string): ((expert: number) => string) | null {
  const start = stack.exec(name)?.[1];
  return start === undefined ? null : (expert) => `${start}.${expert}.weight`;
}
