import type { FloatType } from '../../types/native';

/** Bits per element of every dtype that the safetensors format names. */
const BITS: ReadonlyMap<string, number> = new Map([
  ['F4', 4],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ['BOOL', 8],
  ['U8', 8],
  ['I8', 8],
  ['F8_E5M2', 8],
  ['F8_E4M3', 8],
  ['F8_E8M0', 8],
  ['F8_E4M3FNUZ', 8],
  ['F8_E5M2FNUZ', 8],
  ['I16', 16],
  ['U16', 16],
  ['F16', 16],
  ['BF16', 16],
  ['I32', 32],
  ['U32', 32],
  ['F32', 32],
  ['F64', 64],
  ['I64', 64],
  ['U64', 64],
  ['C64', 64],
]);

const FLOATS: ReadonlyMap<string, FloatType> = new Map([
  ['F32', 'f32'],
  ['F16', 'f16'],
  ['BF16', 'bf16'],
]);

/** Bits per element of a dtype as safetensors spells it; undefined when there is no such dtype. */
export function bitsOf(dtype: string): number | undefined {
  return BITS.get(dtype);
}

/** The float type that native code computes with; undefined for every other dtype. */
export function floatTypeOf(dtype: string): FloatType | undefined {
  return FLOATS.get(dtype);
}
