import { positions as range } from '../../lib/denoising/cached-rows';
import { llada2 } from '../../lib/families/llada2';
import { rnd1 } from '../../lib/families/rnd1';
import { Fields } from '../../lib/support/fields';
import { configOf, type Sizes } from './checkpoint';

/** The rows of one step. */
export interface Pass {
  /** Positions of the canvas. */
  readonly length: number;
  /** Rows that are computed with a cache; without one, all. */
  readonly rows: Int32Array;
}

/** A model, and the schedule that its cache suits: blocks from left to right. */
export interface CacheCase {
  readonly name: string;
  readonly cache: 'exact' | 'dual';
  readonly architecture: ReturnType<typeof rnd1.read>;
  /** A step of a block, `round` counted from 0. */
  readonly pass: (first: number, end: number, round: number, positions: number) => Pass;
}

export interface CaseOptions {
  readonly layers: number;
  readonly vocabulary: number;
  /** Small sizes, for tests of the script. */
  readonly quick: boolean;
}

/** LLaDA2-mini's sizes. */
function llada2Config({ layers, vocabulary, quick }: CaseOptions): Record<string, unknown> {
  return {
    model_type: 'llada2_moe',
    hidden_size: quick ? 64 : 2048,
    intermediate_size: quick ? 64 : 5120,
    moe_intermediate_size: quick ? 32 : 512,
    num_hidden_layers: layers,
    first_k_dense_replace: 1,
    num_attention_heads: quick ? 4 : 16,
    num_key_value_heads: quick ? 2 : 4,
    head_dim: quick ? 32 : 128,
    num_experts: quick ? 16 : 256,
    num_experts_per_tok: quick ? 2 : 8,
    num_shared_experts: 1,
    n_group: 8,
    topk_group: 4,
    routed_scaling_factor: 2.5,
    score_function: 'sigmoid',
    moe_router_enable_expert_bias: true,
    norm_topk_prob: true,
    router_dtype: 'fp32',
    partial_rotary_factor: 0.5,
    rope_theta: 600_000,
    rms_norm_eps: 1e-6,
    use_qk_norm: true,
    use_rmsnorm: true,
    use_bias: false,
    use_qkv_bias: false,
    hidden_act: 'silu',
    tie_word_embeddings: false,
    vocab_size: vocabulary,
    max_position_embeddings: 4096,
  };
}

function rnd1Sizes({ layers, vocabulary, quick }: CaseOptions): Sizes {
  return {
    layers,
    vocabulary,
    hidden: quick ? 64 : 2048,
    heads: quick ? 4 : 32,
    keyValueHeads: quick ? 2 : 4,
    headDim: quick ? 32 : 128,
    experts: quick ? 16 : 128,
    expertsPerToken: quick ? 2 : 8,
    expertWidth: quick ? 32 : 768,
    maxPositions: 4096,
    rmsNormEpsilon: 1e-6,
    ropeTheta: 1e6,
    normTopkProb: true,
    tieWordEmbeddings: false,
  };
}

/**
 * LLaDA2-mini's shape: a block sees what is before it, so that finished blocks stay cached; the first step of a block
 * also computes the one before, which is final only now. RND1's: every position sees all others, so that all are
 * computed in the first step of a block, and in the others the block with the row that predicts its beginning.
 */
export function cacheCases(options: CaseOptions): CacheCase[] {
  return [
    {
      name: 'LLaDA2-mini',
      cache: 'exact',
      architecture: llada2.read(new Fields('config.json', llada2Config(options))),
      pass: (first, end, round) => ({
        length: end,
        rows: range(round === 0 ? Math.max(2 * first - end, 0) : first, end),
      }),
    },
    {
      name: 'RND1',
      cache: 'dual',
      architecture: rnd1.read(new Fields('config.json', configOf(rnd1Sizes(options)))),
      pass: (first, end, round, positions) => ({
        length: positions,
        rows: round === 0 ? range(0, positions) : range(Math.max(first - 1, 0), end),
      }),
    },
  ];
}
