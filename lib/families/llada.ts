import { headerMarkers } from './chat-markers';
import { demand, demandGiven, refuse, refuseUnsupported } from './demands';
import type { Family } from './family';
import { ownPosition } from './prediction';
import { lladaPreset } from './presets';
import { architectureOf, attentionOf, readSizes } from './sizes';

const block = 'model.transformer.blocks.N';

/** LLaDA-8B and LLaDA-1.5: OLMo's code, and its key names. */
export const llada: Family = {
  name: 'llada',
  title: 'LLaDA',
  modelTypes: ['llada'],
  names: {
    embedding: 'model.transformer.wte.weight',
    'layers.N.attention.norm': `${block}.attn_norm.weight`,
    'layers.N.attention.query': `${block}.q_proj.weight`,
    'layers.N.attention.key': `${block}.k_proj.weight`,
    'layers.N.attention.value': `${block}.v_proj.weight`,
    'layers.N.attention.output': `${block}.attn_out.weight`,
    'layers.N.mlp.norm': `${block}.ff_norm.weight`,
    'layers.N.mlp.gate': `${block}.ff_proj.weight`,
    'layers.N.mlp.up': `${block}.up_proj.weight`,
    'layers.N.mlp.down': `${block}.ff_out.weight`,
    norm: 'model.transformer.ln_f.weight',
    head: 'model.transformer.ff_out.weight',
  },
  tokens: { mask: 126336, eos: [126081, 126348], pad: 126081, bos: 126080 },
  preset: lladaPreset,
  chat: headerMarkers,
  read(fields) {
    refuseUnsupported(fields);
    // A norm of whole queries and keys, not of heads.
    refuse(fields, ['attention_layer_norm', 'alibi', 'scale_logits', 'input_emb_norm', 'clip_qkv']);
    refuse(fields, ['bias_for_layer_norm', 'multi_query_attention']);
    demandGiven(fields, 'block_type', 'llama');
    demandGiven(fields, 'layer_norm_type', 'rms');
    demandGiven(fields, 'rope', true);
    demandGiven(fields, 'activation_type', 'silu');
    demandGiven(fields, 'include_bias', false);
    demand(fields, 'layer_norm_with_affine', true);
    demand(fields, 'rope_full_precision', true);
    demand(fields, 'block_group_size', 1);
    const sizes = readSizes(fields, 'derived', {
      layers: 'n_layers',
      hidden: 'd_model',
      heads: 'n_heads',
      keyValueHeads: 'n_kv_heads',
      // The table may have more rows than the vocabulary.
      vocabulary: fields.get('embedding_size') === undefined ? 'vocab_size' : 'embedding_size',
      maxPositions: 'max_sequence_length',
      tiedHead: 'weight_tying',
    });
    const width = fields.size('mlp_hidden_size');
    const attention = attentionOf(sizes, { bias: false, headNorms: false, block: 0 });
    return architectureOf(sizes, attention, () => ({ kind: 'dense', width }), ownPosition);
  },
};
