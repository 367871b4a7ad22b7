import type { FloatType, NativeTensor } from '../../types/native';
import type { DType } from '../api/types';
import {
  formatOf,
  isMixed,
  type Quantization,
  quantizationOf,
  quantizedTypes,
  type WeightFormat,
} from '../checkpoint/quantization';
import type { SelectedTensors } from '../checkpoint/tensors';
import { RND1Error } from '../support/errors';

/** The dtypes that result from the `dtype` option and a checkpoint. */
export interface ChosenDtypes {
  /** Compute dtype of everything except matmuls with quantized weights. */
  readonly computeDtype: FloatType;
  /** Dtype of the weights of matmuls after loading. */
  readonly weights: FloatType | Quantization['dtype'];
  /** How unquantized weights are quantized while they are loaded; null if they are not. */
  readonly quantize: Quantization | null;
  /** Whether weights in blocks, of a GGUF file or in fp8, are quantized as `SelectedTensors.kept` says. */
  readonly keeps: boolean;
}

const isQuantized = (dtype: string): dtype is Quantization['dtype'] =>
  (quantizedTypes as readonly string[]).includes(dtype);

/** The groups of a new quantization: those of blocks of a GGUF file, so that their integers can be kept. */
export const groupFor = ({ kept }: Pick<SelectedTensors, 'kept'>): 64 | 32 =>
  [...kept.values()].some(({ group }) => group === 32) ? 32 : 64;

/**
 * Throws `unsupported_model` if the checkpoint is already quantized to another dtype than the one requested, and for fp8
 * elsewhere than on a GPU. A CPU decodes weights that are in fp8 already.
 */
export function chooseDtypes(
  folder: string,
  asked: DType,
  selected: Pick<SelectedTensors, 'dtype' | 'weights' | 'kept'>,
  onGpu: boolean,
): ChosenDtypes {
  const { dtype, weights, kept } = selected;
  const inBlocks = kept.size > 0;
  if (asked === 'fp8' && !onGpu) {
    throw new RND1Error(
      'unsupported_model',
      `${folder}: dtype 'fp8' is for GPUs; on the CPU, 'q8' takes as many bytes`,
    );
  }
  if (asked === 'auto' || (asked === 'fp8' && weights === 'fp8')) {
    const decodes = weights === 'fp8' && !onGpu;
    return {
      computeDtype: dtype,
      weights: decodes ? dtype : weights,
      quantize: null,
      keeps: inBlocks && !decodes,
    };
  }
  if (!isQuantized(asked)) {
    return { computeDtype: asked, weights: inBlocks ? asked : weights, quantize: null, keeps: false };
  }
  if (inBlocks || !isQuantized(weights)) {
    const quantize = quantizationOf(asked, groupFor(selected));
    return { computeDtype: dtype, weights: asked, quantize, keeps: false };
  }
  if (weights === asked) return { computeDtype: dtype, weights, quantize: null, keeps: false };
  throw new RND1Error(
    'unsupported_model',
    `${folder}: dtype '${asked}' is requested, but the weights are ${weights} already; quantize the original checkpoint`,
  );
}

/** The tensors to load, with what the choice makes of weights in blocks. */
export function tensorsFor(
  { tensors, kept }: Pick<SelectedTensors, 'tensors' | 'kept'>,
  { computeDtype, quantize: all, keeps }: ChosenDtypes,
): readonly NativeTensor[] {
  const mixed = all !== null && isMixed(all) ? all : null;
  if (mixed === null && kept.size === 0 && !tensors.some(isInBlocks)) return tensors;
  return tensors.map((tensor) => {
    if (isQuantized(tensor.dtype)) return tensor;
    const quantize =
      mixed !== null ? eightBits(mixed, tensor.role) : keeps ? kept.get(tensor.role) : undefined;
    const dtype = isInBlocks(tensor) ? computeDtype : tensor.dtype;
    return { ...tensor, dtype, ...(quantize && { quantize }) } as NativeTensor;
  });
}

/** The format of the weights that a mixed quantization has in 8 bits; undefined for others, and what is no such weight. */
function eightBits(mixed: Quantization, role: string): WeightFormat | undefined {
  const format = formatOf(mixed, { matmul: true, role });
  return format?.dtype === 'q8' ? format : undefined;
}

/** Bytes of tensors in memory if none is quantized. */
export function unquantizedBytes(tensors: readonly NativeTensor[]): number {
  return tensors.reduce(
    (sum, { shape, dtype }) => sum + shape.reduce((product, size) => product * size, dtype === 'f32' ? 4 : 2),
    0,
  );
}

const isInBlocks = (tensor: NativeTensor) => 'blocks' in tensor && tensor.blocks !== undefined;
