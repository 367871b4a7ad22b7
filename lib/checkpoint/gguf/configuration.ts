import type { Sizes as ModelSizes } from '../../families/sizes';
import { RND1Error } from '../../support/errors';
import { quote } from '../format';
import { GgufFields } from './fields';
import type { GgufHeader } from './header';

type Json = Record<string, unknown>;

/** One `general.architecture`: the config.json that its metadata stands for. */
interface GgufArchitecture {
  /** Whether positions see only those before them. */
  readonly causal: boolean;
  /** Whether a row predicts the next position, for models that are not causal. */
  readonly shifted?: boolean;
  readonly experts?: boolean;
  /** Whether rows of queries and keys are in the order of pairs that are rotated together. */
  readonly paired?: boolean;
  readonly config: (sizes: Sizes) => Json;
}

interface Sizes extends ModelSizes {
  /** Of dense layers. */
  readonly width: number | undefined;
  readonly experts: number | undefined;
  readonly expertsPerToken: number | undefined;
  readonly expertWidth: number | undefined;
}

/** Keys that transformers' models share. */
const common = (sizes: Sizes): Json => ({
  hidden_size: sizes.hidden,
  num_hidden_layers: sizes.layers,
  num_attention_heads: sizes.heads,
  num_key_value_heads: sizes.keyValueHeads,
  head_dim: sizes.headDim,
  vocab_size: sizes.vocabulary,
  max_position_embeddings: sizes.maxPositions,
  rms_norm_eps: sizes.rmsNormEpsilon,
  rope_theta: sizes.ropeTheta,
  tie_word_embeddings: sizes.tiedHead,
  hidden_act: 'silu',
});

const dense = ({ width }: Sizes): Json => ({ intermediate_size: width });

/** llama.cpp has no key for `norm_topk_prob`: it is part of an architecture. */
const qwenExperts = (sizes: Sizes): Json => ({
  num_experts: sizes.experts,
  num_experts_per_tok: sizes.expertsPerToken,
  moe_intermediate_size: sizes.expertWidth,
  norm_topk_prob: true,
});

const architectures: ReadonlyMap<string, GgufArchitecture> = new Map<string, GgufArchitecture>([
  [
    'rnd1',
    {
      causal: false,
      shifted: true,
      experts: true,
      config: (sizes) => ({
        model_type: 'rnd1',
        architectures: ['RND1LM'],
        ...common(sizes),
        ...qwenExperts(sizes),
      }),
    },
  ],
  [
    'dream',
    {
      causal: false,
      shifted: true,
      config: (sizes) => ({
        model_type: 'Dream',
        architectures: ['DreamModel'],
        ...common(sizes),
        ...dense(sizes),
      }),
    },
  ],
  ['llada', { causal: false, shifted: false, paired: true, config: lladaConfig }],
  [
    'llada-moe',
    {
      causal: false,
      shifted: false,
      experts: true,
      config: (sizes) => ({
        model_type: 'llada',
        architectures: ['LLaDAMoEModelLM'],
        ...common(sizes),
        num_experts: sizes.experts,
        num_experts_per_tok: sizes.expertsPerToken,
        expert_intermediate_size: sizes.expertWidth,
        qk_layernorm: true,
      }),
    },
  ],
  [
    'qwen3',
    {
      causal: true,
      config: (sizes) => ({
        model_type: 'qwen3',
        architectures: ['Qwen3ForCausalLM'],
        ...common(sizes),
        ...dense(sizes),
      }),
    },
  ],
  [
    'qwen3moe',
    {
      causal: true,
      experts: true,
      config: (sizes) => ({
        model_type: 'qwen3_moe',
        architectures: ['Qwen3MoeForCausalLM'],
        ...common(sizes),
        ...qwenExperts(sizes),
      }),
    },
  ],
]);

function lladaConfig(sizes: Sizes): Json {
  return {
    model_type: 'llada',
    architectures: ['LLaDAModelLM'],
    d_model: sizes.hidden,
    n_layers: sizes.layers,
    n_heads: sizes.heads,
    n_kv_heads: sizes.keyValueHeads,
    head_dim: sizes.headDim,
    mlp_hidden_size: sizes.width,
    vocab_size: sizes.vocabulary,
    embedding_size: sizes.vocabulary,
    max_sequence_length: sizes.maxPositions,
    rms_norm_eps: sizes.rmsNormEpsilon,
    rope_theta: sizes.ropeTheta,
    weight_tying: sizes.tiedHead,
    block_type: 'llama',
    layer_norm_type: 'rms',
    rope: true,
    activation_type: 'silu',
    include_bias: false,
  };
}

/** The config.json that a file's metadata stands for, and what its tensors' order needs. */
export interface GgufConfiguration {
  readonly config: Json;
  /** Rows of a head if those of queries and keys are in the order of rotated pairs; 0: they are as in checkpoints. */
  readonly headRows: number;
}

/**
 * Throws `unsupported_model` for architectures and features that are not implemented, `invalid_checkpoint` for metadata
 * that is missing or of a wrong type; both name the file and the key.
 */
export function ggufConfiguration(path: string, header: GgufHeader): GgufConfiguration {
  const fields = new GgufFields(path, header.metadata);
  const name = fields.optionalString('general.architecture');
  if (name === undefined) throw fields.invalid('general.architecture', 'a text');
  const architecture = architectures.get(name);
  if (architecture === undefined) {
    throw new RND1Error(
      'unsupported_model',
      `${path}: general.architecture ${quote(name)} is not supported (only ${[...architectures.keys()].map(quote).join(', ')})`,
    );
  }
  const sizes = readSizes(fields, name, header, architecture);
  refuseFeatures(fields, name, architecture, sizes);
  return {
    config: { ...architecture.config(sizes), ...readTokens(fields) },
    headRows: architecture.paired ? sizes.headDim : 0,
  };
}

function readSizes(
  fields: GgufFields,
  name: string,
  { tensors }: GgufHeader,
  { experts = false }: GgufArchitecture,
): Sizes {
  const number = (key: string, fallback?: number) => fields.number(`${name}.${key}`, fallback);
  const embedding = tensors.find((tensor) => tensor.name === 'token_embd.weight');
  if (embedding === undefined) {
    throw new RND1Error('invalid_checkpoint', `${fields.path}: tensor "token_embd.weight" is missing`);
  }
  const [hidden, heads] = [number('embedding_length'), number('attention.head_count')];
  return {
    layers: number('block_count'),
    hidden,
    heads,
    keyValueHeads: number('attention.head_count_kv', heads),
    headDim: number('attention.key_length', hidden / heads),
    // Some converters leave out the key; the table has a row for every token.
    vocabulary: embedding.shape[0] as number,
    maxPositions: number('context_length'),
    rmsNormEpsilon: number('attention.layer_norm_rms_epsilon'),
    ropeTheta: number('rope.freq_base', 10_000),
    tiedHead: !tensors.some((tensor) => tensor.name === 'output.weight'),
    width: experts ? undefined : number('feed_forward_length'),
    experts: experts ? number('expert_count') : undefined,
    expertsPerToken: experts ? number('expert_used_count') : undefined,
    expertWidth: experts ? number('expert_feed_forward_length') : undefined,
  };
}

/** Throws for what the graph of the architecture does not have, or contradicts it. */
function refuseFeatures(
  fields: GgufFields,
  name: string,
  architecture: GgufArchitecture,
  sizes: Sizes,
): void {
  const demand = (key: string, ...supported: (number | boolean | string)[]) =>
    fields.demand(`${name}.${key}`, ...supported);
  demand('attention.causal', architecture.causal);
  demand('attention.value_length', sizes.headDim);
  demand('attention.sliding_window', 0);
  demand('rope.dimension_count', sizes.headDim);
  demand('rope.scaling.type', 'none');
  demand('rope.scaling.factor', 1, 0);
  demand('rope.scale_linear', 1, 0);
  demand('expert_shared_count', 0);
  demand('expert_shared_feed_forward_length', 0);
  demand('leading_dense_block_count', 0);
  demand('expert_weights_scale', 1, 0);
  demand('expert_weights_norm', name !== 'llada-moe');
  // 1 is softmax.
  demand('expert_gating_func', 1);
  if (architecture.shifted !== undefined) fields.demand('diffusion.shift_logits', architecture.shifted);
}

/** Ids of special tokens, under config.json's keys. */
function readTokens(fields: GgufFields): Json {
  const id = (key: string) => fields.optionalNumber(`tokenizer.ggml.${key}_token_id`);
  const [eos, turn] = [id('eos'), id('eot')];
  const ends = [...new Set([eos, turn].filter((token) => token !== undefined))];
  return Object.fromEntries(
    Object.entries({
      mask_token_id: id('mask'),
      eos_token_id: ends.length > 1 ? ends : ends[0],
      pad_token_id: id('padding'),
      bos_token_id: id('bos'),
    }).filter(([, value]) => value !== undefined),
  );
}
