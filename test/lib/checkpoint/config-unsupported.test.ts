import { failure } from './files';
import { read } from './tiny-config';

describe('what is not implemented', () => {
  test.each([
    ['model_type', 'mixtral'],
    ['model_type', 7],
    ['rope_scaling', { type: 'yarn', factor: 4 }],
    ['rope_scaling', { rope_type: 'default', factor: 2 }],
    ['rope_scaling', { rope_theta: 5 }],
    ['rope_scaling', true],
    ['rope_scaling', 'yarn'],
    ['rope_parameters', { rope_type: 'linear', factor: 2, rope_theta: 1e4 }],
    ['rope_parameters', { full_attention: { rope_theta: 1e4 } }],
    ['use_sliding_window', true],
    ['attention_bias', true],
    ['mlp_only_layers', [0]],
    ['decoder_sparse_step', 2],
    ['decoder_sparse_step', 0],
    ['hidden_act', 'gelu'],
    ['is_causal', true],
    ['quantization_config', { quant_method: 'awq' }],
    ['quantization_config', {}],
    ['shared_expert_intermediate_size', 128],
    ['partial_rotary_factor', 0.5],
    ['use_qk_norm', false],
    ['layer_types', ['full_attention', 'sliding_attention', 'full_attention']],
    ['layer_types', 'full_attention'],
  ])('%s %p is refused by name', async (key, value) => {
    const message = await failure(() => read({ [key]: value }), 'unsupported_model');
    expect(message).toContain('config.json');
    expect(message).toContain(`${key} ${JSON.stringify(value)} is not supported`);
  });

  test('a sliding window is off when its switch is', async () => {
    expect(
      (await read({ sliding_window: 4096, use_sliding_window: false })).architecture.layers,
    ).toHaveLength(3);
    const unswitched = () => read({ sliding_window: 4096, use_sliding_window: undefined });
    expect(await failure(unswitched, 'unsupported_model')).toContain('sliding_window 4096');
  });

  test.each([
    ...['rope_scaling', 'sliding_window', 'use_sliding_window', 'attention_bias', 'mlp_only_layers'],
    ...['is_causal', 'quantization_config', 'shared_expert_intermediate_size'],
  ])('%s is off when it is false, null or absent', async (key) => {
    for (const off of [false, null, undefined]) {
      expect((await read({ [key]: off })).architecture.layers).toHaveLength(3);
    }
  });

  test('defaults that mean the same are accepted', async () => {
    const same = {
      rope_scaling: { rope_type: 'default' },
      layer_types: ['full_attention', 'full_attention', 'full_attention'],
      partial_rotary_factor: 1.0,
      hidden_act: undefined,
      decoder_sparse_step: undefined,
    };
    const { architecture } = await read(same);
    expect(architecture.layers[0]?.attention.ropeTheta).toBe(1e6);
  });

  test('is refused before sizes are looked at', async () => {
    const other = () => read({ model_type: 'llama', num_experts: undefined });
    expect(await failure(other, 'unsupported_model')).toContain('model_type "llama"');
  });
});
