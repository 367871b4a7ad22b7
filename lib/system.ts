import type { NativeSystem } from '../types/native';
import { loadBinding } from './binding';

/**
 * What this machine can compute on: instruction sets of the CPU, GPUs, and why there is no GPU to use.
 *
 * @throws RND1Error `addon_not_found`
 */
export function system(): NativeSystem {
  return loadBinding().system();
}
