import type { NativeSystem } from '../../types/native';
import { loadBinding } from './binding';

/**
 * Returns the CPU's instruction sets, the GPUs of this machine and, if none can be used, the reason.
 *
 * @throws RND1Error `addon_not_found`
 */
export function system(): NativeSystem {
  return loadBinding().system();
}
