import type { Architecture, AttentionDescription, ExpertsDescription } from '../../../types/native';
import { architectureOf } from './configs';

const attention = (changes: Partial<AttentionDescription>): AttentionDescription => ({
  heads: 4,
  keyValueHeads: 2,
  headDim: 32,
  bias: false,
  headNorms: true,
  rotaryWidth: 32,
  ropeTheta: 1e6,
  block: 0,
  ...changes,
});
const narrow = { headDim: 16, rotaryWidth: 16 };

const experts = (
  changes: Partial<ExpertsDescription>,
  router: Partial<ExpertsDescription['router']>,
): ExpertsDescription => ({
  kind: 'experts',
  experts: 16,
  expertsPerToken: 4,
  width: 32,
  sharedWidth: 0,
  router: { score: 'softmax', selectionBias: false, groups: null, normalise: false, scale: 1, ...router },
  ...changes,
});

const dense = (width: number) => ({ kind: 'dense', width }) as const;

const model = (layer: Architecture['layers'][number], changes: Partial<Architecture> = {}): Architecture => ({
  layers: [layer, layer, layer],
  hidden: 64,
  vocabulary: 384,
  maxPositions: 512,
  rmsNormEpsilon: 1e-6,
  tiedHead: false,
  predictionShift: 0,
  keepsFirst: false,
  ...changes,
});

const causal = { predictionShift: 1, keepsFirst: true } as const;

const lladaAttention = attention({ ...narrow, keyValueHeads: 4, headNorms: false, ropeTheta: 5e5 });
const llada2Attention = attention({ rotaryWidth: 16, ropeTheta: 6e5, block: 32 });
const llada2Layer = {
  attention: llada2Attention,
  mlp: experts(
    { sharedWidth: 32 },
    {
      score: 'sigmoid',
      selectionBias: true,
      groups: { count: 4, kept: 2 },
      normalise: true,
      scale: 2.5,
    },
  ),
};

describe('the tiny checkpoints', () => {
  test.each<[string, Architecture]>([
    ['tiny-llada', model({ attention: lladaAttention, mlp: dense(160) }, { rmsNormEpsilon: 1e-5 })],
    [
      'tiny-dream',
      model(
        { attention: attention({ ...narrow, bias: true, headNorms: false }), mlp: dense(176) },
        { predictionShift: 1 },
      ),
    ],
    [
      'tiny-llada-moe',
      model(
        { attention: attention({ ...narrow, keyValueHeads: 4, ropeTheta: 5e4 }), mlp: experts({}, {}) },
        { rmsNormEpsilon: 1e-5 },
      ),
    ],
    [
      'tiny-qwen3-moe',
      model(
        {
          attention: attention({ block: 1 }),
          mlp: experts({ experts: 8, expertsPerToken: 2, width: 48 }, { normalise: true }),
        },
        causal,
      ),
    ],
    [
      'tiny-qwen3',
      model({ attention: attention({ block: 1 }), mlp: dense(160) }, { ...causal, tiedHead: true }),
    ],
    ['tiny-a2d-qwen3', model({ attention: attention({}), mlp: dense(160) }, { tiedHead: true })],
    [
      'tiny-llada2',
      model(llada2Layer, {
        layers: [{ attention: llada2Attention, mlp: dense(160) }, llada2Layer, llada2Layer],
      }),
    ],
  ])('%s', (name, expected) => {
    expect(architectureOf(name)).toEqual(expected);
  });
});

describe('other configurations of a family', () => {
  test('SDAR is Qwen3 in blocks of four, or of block_size', () => {
    const expected = model({ attention: attention({ block: 4 }), mlp: dense(160) }, { tiedHead: true });
    expect(architectureOf('tiny-qwen3', { model_type: 'sdar' })).toEqual(expected);
    const other = architectureOf('tiny-qwen3', { model_type: 'sdar', block_size: 8 });
    expect(other.layers[0]?.attention.block).toBe(8);
  });

  test('SDAR with experts is Qwen3-MoE in blocks', () => {
    const { layers } = architectureOf('tiny-qwen3-moe', { model_type: 'sdar_moe', block_size: 16 });
    expect(layers[2]).toEqual({
      attention: attention({ block: 16 }),
      mlp: experts({ experts: 8, expertsPerToken: 2, width: 48 }, { normalise: true }),
    });
  });

  test('Qwen3-MoE may have dense layers', () => {
    const kinds = (changes: object) =>
      architectureOf('tiny-qwen3-moe', { ...changes }).layers.map(({ mlp }) => `${mlp.kind} ${mlp.width}`);
    expect(kinds({ mlp_only_layers: [1] })).toEqual(['experts 48', 'dense 160', 'experts 48']);
    expect(kinds({ decoder_sparse_step: 2 })).toEqual(['dense 160', 'experts 48', 'dense 160']);
  });

  test('LLaDA-MoE may have dense layers', () => {
    const { layers } = architectureOf('tiny-llada-moe', { moe_layer_freq: [0, 1, 1] });
    expect(layers.map(({ mlp }) => `${mlp.kind} ${mlp.width}`)).toEqual([
      'dense 256',
      'experts 32',
      'experts 32',
    ]);
  });

  test('LLaDA2 with all groups kept chooses among all experts', () => {
    for (const changes of [{ n_group: 1, topk_group: 1 }, { topk_group: 4 }]) {
      expect(architectureOf('tiny-llada2', changes).layers[2]?.mlp).toMatchObject({
        router: { groups: null },
      });
    }
  });

  test('LLaDA2 may say how much it rotates in rope_parameters, or only by the factor', () => {
    const widths = [
      { partial_rotary_factor: null, rope_parameters: { rope_type: 'default', partial_rotary_factor: 0.5 } },
      { rotary_dim: undefined },
      { rotary_dim: null, partial_rotary_factor: 0.25 },
      { rotary_dim: 32, partial_rotary_factor: 1 },
    ].map((changes) => architectureOf('tiny-llada2', changes).layers[0]?.attention.rotaryWidth);
    expect(widths).toEqual([16, 16, 8, 32]);
  });

  test('LLaDA’s table of embeddings may be longer than its vocabulary, and its head tied', () => {
    expect(architectureOf('tiny-llada', { vocab_size: 380 }).vocabulary).toBe(384);
    expect(architectureOf('tiny-llada', { embedding_size: null, vocab_size: 380 }).vocabulary).toBe(380);
    expect(architectureOf('tiny-llada', { weight_tying: true }).tiedHead).toBe(true);
  });
});
