import type {
  Architecture,
  AttentionDescription,
  ExpertsDescription,
  LayerDescription,
  RouterDescription,
} from '../../types/native';
import { Fields } from '../support/fields';

/** Limit of layers, far above any model: each has a description. */
const LAYER_LIMIT = 2 ** 14;

/** Sizes that all models have. */
export interface Sizes {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly vocabulary: number;
  readonly maxPositions: number;
  readonly rmsNormEpsilon: number;
  readonly ropeTheta: number;
  readonly tiedHead: boolean;
}

/** Their keys, as most models of transformers spell them. */
const KEYS = {
  layers: 'num_hidden_layers',
  hidden: 'hidden_size',
  heads: 'num_attention_heads',
  keyValueHeads: 'num_key_value_heads',
  vocabulary: 'vocab_size',
  maxPositions: 'max_position_embeddings',
  tiedHead: 'tie_word_embeddings',
};
export type SizeKeys = Readonly<typeof KEYS>;

/** @param headDim whether `head_dim` must be given; otherwise it is the share of a head of the hidden width */
export function readSizes(
  fields: Fields,
  headDim: 'given' | 'derived' = 'given',
  keys: SizeKeys = KEYS,
): Sizes {
  const layers = layerCount(fields, keys.layers);
  const hidden = fields.size(keys.hidden);
  const heads = fields.size(keys.heads);
  const sizes: Sizes = {
    layers,
    hidden,
    heads,
    keyValueHeads: fields.size(keys.keyValueHeads, headDim === 'given' ? undefined : heads),
    headDim:
      headDim === 'given' || fields.get('head_dim') !== undefined ? fields.size('head_dim') : hidden / heads,
    vocabulary: fields.size(keys.vocabulary),
    maxPositions: fields.size(keys.maxPositions),
    rmsNormEpsilon: fields.positiveNumber('rms_norm_eps'),
    ropeTheta: readRopeTheta(fields),
    tiedHead: fields.boolean(keys.tiedHead, false),
  };
  if (sizes.heads % sizes.keyValueHeads !== 0) {
    throw fields.contradiction(
      `${keys.heads} ${heads} is not a multiple of ${keys.keyValueHeads} ${sizes.keyValueHeads}`,
    );
  }
  if (!Number.isInteger(sizes.headDim)) {
    throw fields.contradiction(`${keys.hidden} ${hidden} is not a multiple of ${keys.heads} ${heads}`);
  }
  if (sizes.headDim % 2 !== 0) {
    throw fields.contradiction(`head_dim ${sizes.headDim} is odd; RoPE rotates halves`);
  }
  return sizes;
}

function layerCount(fields: Fields, key: string): number {
  const layers = fields.size(key);
  if (layers <= LAYER_LIMIT) return layers;
  throw fields.invalid(key, `a positive integer up to ${LAYER_LIMIT}`);
}

/** `rope_theta`, which newer versions of transformers write into `rope_parameters`. */
function readRopeTheta(fields: Fields): number {
  const inner = ropeParameters(fields);
  if (inner.get('rope_theta') === undefined) return fields.positiveNumber('rope_theta');
  const theta = inner.positiveNumber('rope_theta');
  if (fields.get('rope_theta') !== undefined && fields.positiveNumber('rope_theta') !== theta) {
    throw fields.invalid('rope_theta', `the ${theta} of rope_parameters`);
  }
  return theta;
}

/** The settings in `rope_parameters`; none if it is absent. */
export function ropeParameters(fields: Fields): Fields {
  const nested = fields.get('rope_parameters') || {};
  return new Fields(`${fields.path}: rope_parameters`, nested as Record<string, unknown>);
}

/** Attention that rotates whole heads. */
export function attentionOf(
  { heads, keyValueHeads, headDim, ropeTheta }: Sizes,
  traits: Pick<AttentionDescription, 'bias' | 'headNorms' | 'block'>,
): AttentionDescription {
  return { heads, keyValueHeads, headDim, ...traits, rotaryWidth: headDim, ropeTheta };
}

/** Experts of the usual keys, without a shared one. `width`: the key of an expert's width. */
export function readExperts(
  fields: Fields,
  width: string,
  router: Pick<RouterDescription, 'normalise'> & Partial<RouterDescription>,
): ExpertsDescription {
  const experts = fields.size('num_experts');
  const expertsPerToken = fields.size('num_experts_per_tok');
  if (expertsPerToken > experts) {
    throw fields.contradiction(
      `num_experts_per_tok ${expertsPerToken} is larger than num_experts ${experts}`,
    );
  }
  return {
    kind: 'experts',
    experts,
    expertsPerToken,
    width: fields.size(width),
    sharedWidth: 0,
    router: { score: 'softmax', selectionBias: false, groups: null, scale: 1, ...router },
  };
}

/** A model whose layers have the same attention. */
export function architectureOf(
  sizes: Sizes,
  attention: AttentionDescription,
  mlpOf: (layer: number) => LayerDescription['mlp'],
  prediction: Pick<Architecture, 'predictionShift' | 'keepsFirst'>,
): Architecture {
  const { layers, hidden, vocabulary, maxPositions, rmsNormEpsilon, tiedHead } = sizes;
  return {
    layers: Array.from({ length: layers }, (_, layer) => ({ attention, mlp: mlpOf(layer) })),
    ...{ hidden, vocabulary, maxPositions, rmsNormEpsilon, tiedHead },
    ...prediction,
  };
}
