import type { FloatType, QuantizedType } from '../../types/native';
import type { DType } from '../api/types';
import type { Quantization } from '../checkpoint/quantization';
import type { SelectedTensors } from '../checkpoint/tensors';
import { RND1Error } from '../support/errors';

/** The dtypes that result from the `dtype` option and a checkpoint. */
export interface ChosenDtypes {
  /** Compute dtype of everything except matmuls with quantized weights. */
  readonly computeDtype: FloatType;
  /** Dtype of the weights of matmuls after loading. */
  readonly weights: FloatType | QuantizedType;
  /** How unquantized weights are quantized while they are loaded; null if they are not. */
  readonly quantize: Quantization | null;
}

const isQuantized = (dtype: string): dtype is QuantizedType => dtype === 'q8' || dtype === 'q4';

/** Throws `unsupported_model` if the checkpoint is already quantized to another dtype than the one requested. */
export function chooseDtypes(
  folder: string,
  asked: DType,
  { dtype, weights }: Pick<SelectedTensors, 'dtype' | 'weights'>,
): ChosenDtypes {
  if (!isQuantized(asked)) return { computeDtype: asked === 'auto' ? dtype : asked, weights, quantize: null };
  if (!isQuantized(weights)) {
    return { computeDtype: dtype, weights: asked, quantize: { dtype: asked, group: 64 } };
  }
  if (weights === asked) return { computeDtype: dtype, weights, quantize: null };
  throw new RND1Error(
    'unsupported_model',
    `${folder}: dtype '${asked}' is requested, but the weights are ${weights} already; quantize the original checkpoint`,
  );
}
