import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';

/** nano's sizes as those of the causal model that it begins as. */
export function causalConfig(): Record<string, unknown> {
  const config = JSON.parse(readFileSync(resolve(__dirname, '..', 'nano', 'config.json'), 'utf8')) as Record<
    string,
    unknown
  >;
  const { is_causal: _, mask_token_id: __, num_diffusion_steps: ___, moe_backend: ____, ...sizes } = config;
  return { ...sizes, architectures: ['Qwen3MoeForCausalLM'], model_type: 'qwen3_moe', use_cache: true };
}
