import type { FloatType, QuantizedType } from '../types/native';
import type { Quantization } from './checkpoint/quantization';
import type { SelectedTensors } from './checkpoint/tensors';
import { RND1Error } from './errors';
import type { DType } from './types';

/** What the `dtype` option comes to for a checkpoint. */
export interface ChosenDtypes {
  /** Of everything but products with quantized weights. */
  readonly computeDtype: FloatType;
  /** The weights of products, once they are loaded. */
  readonly weights: FloatType | QuantizedType;
  /** What unquantized weights become while they are loaded; null when they stay as they are. */
  readonly quantize: Quantization | null;
}

const isQuantized = (dtype: string): dtype is QuantizedType => dtype === 'q8' || dtype === 'q4';

/** Throws `unsupported_model` when integers are asked for that are not the checkpoint's own. */
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
    `${folder}: dtype '${asked}' is asked for, but the weights are ${weights} already; quantize the original checkpoint`,
  );
}
