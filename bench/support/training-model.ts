import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/command';
import type { Sizes } from './checkpoint';

/** A model whose training is measured, and its batch. */
export interface TrainingCase {
  readonly name: string;
  readonly sizes: Sizes;
  /** An existing checkpoint; null: random weights are written. */
  readonly folder: string | null;
  readonly canvases: number;
  /** Tokens of a canvas. */
  readonly length: number;
}

const nanoFolder = join(root, 'models', 'nano');

function nanoSizes(): Sizes {
  const config = JSON.parse(readFileSync(join(nanoFolder, 'config.json'), 'utf8'));
  return {
    layers: config.num_hidden_layers,
    hidden: config.hidden_size,
    heads: config.num_attention_heads,
    keyValueHeads: config.num_key_value_heads,
    headDim: config.head_dim,
    experts: config.num_experts,
    expertsPerToken: config.num_experts_per_tok,
    expertWidth: config.moe_intermediate_size,
    vocabulary: config.vocab_size,
    maxPositions: config.max_position_embeddings,
    rmsNormEpsilon: config.rms_norm_eps,
    ropeTheta: config.rope_theta,
    normTopkProb: config.norm_topk_prob,
    tieWordEmbeddings: config.tie_word_embeddings,
  };
}

/** Nano as it was trained, and a model of 60.9M parameters. */
export function trainingCases(): TrainingCase[] {
  const medium: Sizes = {
    layers: 8,
    hidden: 512,
    heads: 8,
    keyValueHeads: 4,
    headDim: 64,
    experts: 16,
    expertsPerToken: 2,
    expertWidth: 256,
    vocabulary: 4096,
    maxPositions: 1024,
    rmsNormEpsilon: 1e-6,
    ropeTheta: 1e4,
    normTopkProb: true,
    tieWordEmbeddings: false,
  };
  return [
    { name: 'nano', sizes: nanoSizes(), folder: nanoFolder, canvases: 64, length: 64 },
    { name: '60M', sizes: medium, folder: null, canvases: 8, length: 256 },
  ];
}

/** A batch of random tokens, a part of which is masked, as numbers for JSON. */
export interface RandomBatch {
  readonly tokens: number[];
  readonly rows: number[];
  readonly targets: number[];
}

/** Masked diffusion: in each canvas, each position after the first is masked with the canvas's own probability. */
export function randomBatch({ sizes, canvases, length }: TrainingCase, seed: number): RandomBatch {
  let state = seed >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const batch: RandomBatch = { tokens: [], rows: [], targets: [] };
  for (let canvas = 0; canvas < canvases; canvas++) {
    const share = (canvas + 0.5) / canvases;
    for (let position = 0; position < length; position++) {
      const token = Math.floor(uniform() * (sizes.vocabulary - 8));
      const masked = uniform() < share && position > 0;
      if (masked) {
        // The logits of a row predict the token after it.
        batch.rows.push(canvas * length + position - 1);
        batch.targets.push(token);
      }
      batch.tokens.push(masked ? sizes.vocabulary - 1 : token);
    }
  }
  return batch;
}

/**
 * Operations of products of a step, a multiply-add counting as two; what is computed again does not count, nor do the
 * last layer's experts of rows that nobody scores.
 */
export function operationsOfStep({ sizes, canvases, length }: TrainingCase, scoredRows: number): number {
  const { layers, hidden, heads, keyValueHeads, headDim, experts, expertsPerToken, expertWidth } = sizes;
  const rows = canvases * length;
  const projections = hidden * headDim * (2 * heads + 2 * keyValueHeads);
  const mlp = 3 * expertsPerToken * expertWidth * hidden;
  const attention = 2 * length * heads * headDim;
  // A product has two gradients; of attention's two products there are four, and one is computed again.
  const ofLayer = 2 * rows * (3 * (projections + experts * hidden) + 3.5 * attention);
  const mlpRows = rows * (layers - 1) + scoredRows;
  return layers * ofLayer + 3 * 2 * (mlpRows * mlp + scoredRows * hidden * sizes.vocabulary);
}
