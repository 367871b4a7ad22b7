import { expectedTensors } from '../../../lib/checkpoint/tensors';
import { qwenNames, storedName } from '../../../lib/families/names';
import type { Architecture } from '../../../types/native';

/** Sizes of an RND1. */
export interface Rnd1Sizes {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly experts: number;
  readonly expertsPerToken: number;
  readonly expertWidth: number;
  readonly vocabulary: number;
  readonly maxPositions: number;
  readonly ropeTheta: number;
  readonly normTopkProb: boolean;
}

/** The graph of an RND1, written down apart from lib/families. */
export function rnd1Architecture(sizes: Rnd1Sizes): Architecture {
  const { heads, keyValueHeads, headDim, ropeTheta, experts, expertsPerToken } = sizes;
  const layer: Architecture['layers'][number] = {
    attention: {
      ...{ heads, keyValueHeads, headDim, ropeTheta },
      rotaryWidth: headDim,
      bias: false,
      headNorms: true,
      block: 0,
    },
    mlp: {
      kind: 'experts',
      experts,
      expertsPerToken,
      width: sizes.expertWidth,
      sharedWidth: 0,
      router: {
        score: 'softmax',
        selectionBias: false,
        groups: null,
        normalise: sizes.normTopkProb,
        scale: 1,
      },
    },
  };
  return {
    layers: new Array<typeof layer>(sizes.layers).fill(layer),
    hidden: sizes.hidden,
    vocabulary: sizes.vocabulary,
    maxPositions: sizes.maxPositions,
    rmsNormEpsilon: 1e-6,
    tiedHead: false,
    predictionShift: 1,
    keepsFirst: true,
  };
}

/** The expected tensors, with the names that RND1 and Qwen3 give them. */
export const namedTensors = (architecture: Architecture) =>
  [...expectedTensors(architecture)].map(({ role, shape, matmul }) => ({
    role,
    name: storedName(qwenNames, role),
    shape,
    matmul,
  }));
