import { familyNamed } from '../../families';
import type { Family } from '../../families/family';
import { RND1Error } from '../../support/errors';

type Json = Readonly<Record<string, unknown>>;

/** A causal family and the diffusion family with the same weights. */
interface Pair {
  readonly causal: string;
  readonly diffusion: string;
  /** What config.json becomes. */
  readonly toDiffusion: (config: Json, maskTokenId: number) => Json;
  /** The mask token stays: other tools pass over the key, and a conversion back finds it. */
  readonly toCausal: (config: Json) => Json;
}

/** Where transformers finds the code of RND1's models, which ships with the published checkpoint. */
const rnd1Code = 'radicalnumerics/RND1-Base-0910';

const pairs: readonly Pair[] = [
  {
    causal: 'qwen3-moe',
    diffusion: 'rnd1',
    toDiffusion: (config, maskTokenId) => ({
      ...config,
      architectures: ['RND1LM'],
      model_type: 'rnd1',
      auto_map: {
        AutoConfig: `${rnd1Code}--configuration_rnd.RND1Config`,
        AutoModel: `${rnd1Code}--modeling_rnd.RND1Model`,
        AutoModelForMaskedLM: `${rnd1Code}--modeling_rnd.RND1LM`,
      },
      norm_topk_prob: config.norm_topk_prob ?? false,
      is_causal: false,
      use_cache: false,
      mask_token_id: maskTokenId,
      num_diffusion_steps: 256,
      moe_backend: 'hf',
    }),
    toCausal: (config) => ({
      ...without(config, ['auto_map', 'is_causal', 'num_diffusion_steps', 'moe_backend']),
      architectures: ['Qwen3MoeForCausalLM'],
      model_type: 'qwen3_moe',
      use_cache: true,
    }),
  },
  {
    causal: 'qwen3',
    diffusion: 'a2d-qwen3',
    toDiffusion: (config, maskTokenId) => ({
      ...config,
      architectures: ['A2DQwen3LMHeadModel'],
      model_type: 'a2d-qwen3',
      use_cache: false,
      mask_token_id: maskTokenId,
    }),
    toCausal: (config) => ({
      ...config,
      architectures: ['Qwen3ForCausalLM'],
      model_type: 'qwen3',
      use_cache: true,
    }),
  },
];

function without(config: Json, keys: readonly string[]): Json {
  return Object.fromEntries(Object.entries(config).filter(([key]) => !keys.includes(key)));
}

/** What a checkpoint of a family becomes. */
export interface Conversion {
  readonly source: Family;
  readonly target: Family;
  readonly config: (config: Json, maskTokenId: number) => Json;
}

/**
 * The conversion of a family; with `reverse` from diffusion to causal.
 *
 * @throws RND1Error `unsupported_model` for families that have no counterpart
 */
export function conversionOf(family: string, reverse: boolean, folder: string): Conversion {
  const pair = pairs.find(({ causal, diffusion }) => (reverse ? diffusion : causal) === family);
  if (pair !== undefined) {
    const [source, target] = reverse ? [pair.diffusion, pair.causal] : [pair.causal, pair.diffusion];
    return {
      source: familyNamed(source),
      target: familyNamed(target),
      config: reverse ? pair.toCausal : pair.toDiffusion,
    };
  }
  const { title } = familyNamed(family);
  const other = pairs.some(({ causal, diffusion }) => [causal, diffusion].includes(family));
  const known = pairs.map(({ causal, diffusion }) => {
    const [from, to] = reverse ? [diffusion, causal] : [causal, diffusion];
    return `${familyNamed(from).title} (to ${familyNamed(to).title})`;
  });
  throw new RND1Error(
    'unsupported_model',
    other
      ? `${folder} is ${reverse ? 'causal' : 'a diffusion model'} already: ${title}`
      : `${folder}: ${title} cannot be converted; only ${known.join(' and ')}`,
  );
}
