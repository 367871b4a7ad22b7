import { failure } from '../checkpoint/files';
import { architectureOf } from './configs';

describe('what is not implemented is refused by name', () => {
  test.each<[string, string, unknown]>([
    ['tiny-llada', 'alibi', true],
    ['tiny-llada', 'block_type', 'sequential'],
    ['tiny-llada', 'include_bias', true],
    ['tiny-llada', 'include_qkv_bias', true],
    ['tiny-llada', 'bias_for_layer_norm', true],
    ['tiny-llada', 'scale_logits', true],
    ['tiny-llada', 'input_emb_norm', true],
    ['tiny-llada', 'attention_layer_norm', true],
    ['tiny-llada', 'block_group_size', 2],
    ['tiny-llada', 'clip_qkv', 8],
    ['tiny-llada', 'layer_norm_type', 'default'],
    ['tiny-llada', 'layer_norm_with_affine', false],
    ['tiny-llada', 'multi_query_attention', true],
    ['tiny-llada', 'activation_type', 'swiglu'],
    ['tiny-llada', 'rope', false],
    ['tiny-llada', 'rope_full_precision', false],
    ['tiny-dream', 'use_mrope', true],
    ['tiny-dream', 'use_sliding_window', true],
    ['tiny-dream', 'mlp_bias', true],
    ['tiny-dream', 'rope_scaling', { type: 'yarn', factor: 4 }],
    ['tiny-llada-moe', 'clip_qkv', 8],
    ['tiny-llada-moe', 'attention_bias', true],
    ['tiny-llada-moe', 'qk_layernorm', false],
    ['tiny-llada-moe', 'moe_router_enable_expert_bias', true],
    ['tiny-llada-moe', 'moe_router_score_function', 'sigmoid'],
    ['tiny-llada-moe', 'shared_expert_intermediate_size', 64],
    ['tiny-llada-moe', 'partial_rotary_factor', 0.5],
    ['tiny-qwen3', 'attention_bias', true],
    ['tiny-qwen3', 'use_sliding_window', true],
    ['tiny-qwen3', 'layer_types', ['sliding_attention']],
    ['tiny-qwen3', 'hidden_act', 'gelu'],
    ['tiny-qwen3-moe', 'num_shared_experts', 1],
    ['tiny-qwen3-moe', 'attention_bias', true],
    ['tiny-a2d-qwen3', 'attention_bias', true],
    ['tiny-a2d-qwen3', 'rope_parameters', { rope_type: 'yarn' }],
    ['tiny-llada2', 'use_bias', true],
    ['tiny-llada2', 'use_qkv_bias', true],
    ['tiny-llada2', 'use_qk_norm', false],
    ['tiny-llada2', 'use_rmsnorm', false],
    ['tiny-llada2', 'use_sliding_window', true],
    ['tiny-llada2', 'norm_head', true],
    ['tiny-llada2', 'norm_softmax', true],
    ['tiny-llada2', 'norm_topk_prob', false],
    ['tiny-llada2', 'score_function', 'softmax'],
    ['tiny-llada2', 'moe_router_enable_expert_bias', false],
    ['tiny-llada2', 'router_dtype', 'bf16'],
  ])('%s: %s %j', async (name, key, value) => {
    const message = await failure(() => architectureOf(name, { [key]: value }), 'unsupported_model');
    expect(message).toContain(`config.json: ${key} ${JSON.stringify(value)} is not supported`);
  });
});

describe('what is contradictory or missing is named', () => {
  test.each<[string, Record<string, unknown>, string]>([
    ['tiny-llada', { n_heads: 6 }, 'n_heads 6 is not a multiple of n_kv_heads 4'],
    ['tiny-llada', { n_heads: 12 }, 'd_model 64 is not a multiple of n_heads 12'],
    ['tiny-llada', { block_type: undefined }, 'block_type is missing'],
    ['tiny-llada', { include_bias: null }, 'include_bias is missing'],
    ['tiny-llada', { mlp_hidden_size: null }, 'mlp_hidden_size is missing'],
    [
      'tiny-dream',
      { num_key_value_heads: 3 },
      'num_attention_heads 4 is not a multiple of num_key_value_heads 3',
    ],
    ['tiny-dream', { hidden_size: 60 }, 'head_dim 15 is odd; RoPE rotates halves'],
    ['tiny-qwen3', { head_dim: undefined }, 'head_dim is missing'],
    ['tiny-qwen3', { head_dim: 31 }, 'head_dim 31 is odd'],
    [
      'tiny-qwen3',
      { num_hidden_layers: 2 ** 20 },
      'num_hidden_layers must be a positive integer up to 16384',
    ],
    ['tiny-qwen3-moe', { num_experts_per_tok: 9 }, 'num_experts_per_tok 9 is larger than num_experts 8'],
    ['tiny-qwen3-moe', { mlp_only_layers: 'all' }, 'mlp_only_layers must be a list of layers, not "all"'],
    ['tiny-llada-moe', { moe_layer_freq: [1] }, 'moe_layer_freq must be a list of 3 zeros and ones'],
    ['tiny-llada-moe', { moe_layer_freq: [1, 2, 1] }, 'moe_layer_freq must be'],
    ['tiny-llada-moe', { qk_layernorm: undefined }, 'qk_layernorm is missing'],
    ['tiny-llada2', { n_group: 3 }, 'num_experts 16 is not a multiple of n_group 3'],
    ['tiny-llada2', { topk_group: 5 }, 'topk_group 5 is larger than n_group 4'],
    [
      'tiny-llada2',
      { topk_group: 1, num_experts_per_tok: 5 },
      'num_experts_per_tok 5 is larger than the 4 experts of topk_group 1 groups',
    ],
    ['tiny-llada2', { n_group: 16, topk_group: 8 }, 'n_group 16 leaves 1 expert a group'],
    ['tiny-llada2', { rotary_dim: 8 }, 'rotary_dim is 8, but partial_rotary_factor 0.5 of head_dim 32 is 16'],
    ['tiny-llada2', { partial_rotary_factor: 2 }, 'is more than all of it'],
    ['tiny-llada2', { partial_rotary_factor: 0.1 }, 'is 3 columns; RoPE rotates halves'],
    ['tiny-llada2', { partial_rotary_factor: 0.01 }, 'is 0 columns; RoPE rotates halves'],
    ['tiny-llada2', { partial_rotary_factor: '0.5' }, 'partial_rotary_factor must be a number above 0'],
    ['tiny-llada2', { first_k_dense_replace: -1 }, 'first_k_dense_replace must be an integer from 0'],
    ['tiny-llada2', { routed_scaling_factor: 0 }, 'routed_scaling_factor must be a number above 0'],
    ...[
      ...['score_function', 'use_bias', 'partial_rotary_factor', 'n_group', 'topk_group'],
      ...['num_shared_experts', 'first_k_dense_replace'],
    ].map((key): [string, Record<string, unknown>, string] => [
      'tiny-llada2',
      { [key]: undefined },
      `${key} is missing`,
    ]),
  ])('%s with %j', async (name, changes, problem) => {
    const message = await failure(() => architectureOf(name, changes), 'invalid_checkpoint');
    expect(message).toContain('config.json: ');
    expect(message).toContain(problem);
  });
});
