import type { AttentionDescription, ExpertsDescription, RouterDescription } from '../../types/native';
import type { Fields } from '../support/fields';
import { roleMarkers } from './chat-markers';
import { demand, demandGiven, refuse, refuseUnsupported } from './demands';
import type { Family } from './family';
import { qwenNames } from './names';
import { ownPosition } from './prediction';
import { blocksPreset } from './presets';
import { architectureOf, attentionOf, readExperts, readSizes, ropeParameters, type Sizes } from './sizes';

const layer = 'model.layers.N';
const fused = `${layer}.attention.query_key_value.weight`;

/** The models were trained with blocks of this length, which is in no file. */
const blockLength = 32;

/** LLaDA2.0, 2.1 and 2.2. `sliding_window` is set, but has no effect in its code. */
export const llada2: Family = {
  name: 'llada2',
  title: 'LLaDA2',
  modelTypes: ['llada2_moe'],
  names: {
    ...qwenNames,
    embedding: 'model.word_embeddings.weight',
    'layers.N.attention.query': fused,
    'layers.N.attention.key': fused,
    'layers.N.attention.value': fused,
    'layers.N.attention.queryNorm': `${layer}.attention.query_layernorm.weight`,
    'layers.N.attention.keyNorm': `${layer}.attention.key_layernorm.weight`,
    'layers.N.attention.output': `${layer}.attention.dense.weight`,
    'layers.N.mlp.selectionBias': `${layer}.mlp.gate.expert_bias`,
    'layers.N.mlp.shared.gate': `${layer}.mlp.shared_experts.gate_proj.weight`,
    'layers.N.mlp.shared.up': `${layer}.mlp.shared_experts.up_proj.weight`,
    'layers.N.mlp.shared.down': `${layer}.mlp.shared_experts.down_proj.weight`,
  },
  tokens: { mask: 156895, eos: [156892], pad: 156892 },
  preset: blocksPreset({ length: blockLength, steps: 32, tau: 0.95 }),
  chat: { endOfTurn: roleMarkers.endOfTurn },
  read(fields) {
    const partialRotaryFactor = readPartialRotaryFactor(fields);
    refuseUnsupported(fields, { idleWindow: true, partialRotaryFactor });
    refuse(fields, ['norm_head', 'norm_softmax', 'shared_expert_intermediate_size', 'n_shared_experts']);
    demand(fields, 'use_qk_norm', true);
    demand(fields, 'use_rmsnorm', true);
    demand(fields, 'router_dtype', 'fp32');
    demand(fields, 'norm_topk_prob', true);
    demandGiven(fields, 'score_function', 'sigmoid');
    demandGiven(fields, 'moe_router_enable_expert_bias', true);
    // On, if absent.
    demandGiven(fields, 'use_bias', false);
    const sizes = readSizes(fields, 'derived');
    const experts = readMlp(fields);
    const firstExperts = fields.count('first_k_dense_replace');
    const width = firstExperts > 0 ? fields.size('intermediate_size') : 0;
    return architectureOf(
      sizes,
      readAttention(fields, sizes, partialRotaryFactor),
      (index) => (index < firstExperts ? { kind: 'dense', width } : experts),
      ownPosition,
    );
  },
};

/** `partial_rotary_factor`, which newer versions of transformers write into `rope_parameters`. */
function readPartialRotaryFactor(fields: Fields): number {
  const inner = ropeParameters(fields);
  const source = inner.get('partial_rotary_factor') === undefined ? fields : inner;
  return source.positiveNumber('partial_rotary_factor');
}

function readAttention(fields: Fields, sizes: Sizes, partialRotaryFactor: number): AttentionDescription {
  const { headDim } = sizes;
  const rotaryWidth = Math.trunc(headDim * partialRotaryFactor);
  const said = `partial_rotary_factor ${partialRotaryFactor} of head_dim ${headDim}`;
  if (rotaryWidth > headDim) throw fields.contradiction(`${said} is more than all of it`);
  if (rotaryWidth === 0 || rotaryWidth % 2 !== 0) {
    throw fields.contradiction(`${said} is ${rotaryWidth} columns; RoPE rotates halves`);
  }
  const given = fields.size('rotary_dim', rotaryWidth);
  if (given !== rotaryWidth)
    throw fields.contradiction(`rotary_dim is ${given}, but ${said} is ${rotaryWidth}`);
  return { ...attentionOf(sizes, { bias: false, headNorms: true, block: blockLength }), rotaryWidth };
}

function readMlp(fields: Fields): ExpertsDescription {
  const mlp = readExperts(fields, 'moe_intermediate_size', {
    score: 'sigmoid',
    selectionBias: true,
    normalise: true,
    scale: fields.positiveNumber('routed_scaling_factor'),
  });
  const groups = readGroups(fields, mlp);
  return {
    ...mlp,
    sharedWidth: mlp.width * fields.count('num_shared_experts'),
    // A single expert's weight is its score.
    router: { ...mlp.router, groups, normalise: mlp.expertsPerToken > 1 },
  };
}

function readGroups(
  fields: Fields,
  { experts, expertsPerToken }: ExpertsDescription,
): RouterDescription['groups'] {
  const count = fields.size('n_group');
  const kept = fields.size('topk_group');
  if (experts % count !== 0) {
    throw fields.contradiction(`num_experts ${experts} is not a multiple of n_group ${count}`);
  }
  if (kept > count) throw fields.contradiction(`topk_group ${kept} is larger than n_group ${count}`);
  if (kept === count) return null;
  const size = experts / count;
  if (kept * size < expertsPerToken) {
    throw fields.contradiction(
      `num_experts_per_tok ${expertsPerToken} is larger than the ${kept * size} experts of topk_group ${kept} groups`,
    );
  }
  if (size < 2) {
    throw fields.contradiction(
      `n_group ${count} leaves ${size} expert a group, which is scored by its best two`,
    );
  }
  return { count, kept };
}
