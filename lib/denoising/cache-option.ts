import type { Architecture } from '../../types/native';
import type { SamplingOptions } from '../api/types';
import { blockOf } from '../families/traits';
import { RND1Error } from '../support/errors';
import { integerOption, wordOption } from '../support/validate';
import type { BlockCacheOptions } from './cached-rows';

/**
 * How a run keeps keys and values between its steps. `'exact'`: those of finished text, which nothing that is written
 * later can change, so results are the same; null: not at all.
 */
export type CacheRule = { readonly kind: 'exact' } | BlockCacheOptions | null;

/** Validates the options `cache` and `refresh` of a call. */
export function readCache(
  { cache, refresh, cfgScale = 0 }: Pick<SamplingOptions, 'cache' | 'refresh' | 'cfgScale'>,
  architecture: Architecture,
): CacheRule {
  const every = refresh === undefined ? null : integerOption('refresh', refresh, 1, 2 ** 31 - 1);
  const exact = blockOf(architecture) > 0;
  if (every !== null && (cache === undefined || cache === false)) {
    throw new TypeError("refresh needs cache: 'prefix' or 'dual'");
  }
  // Guidance has a second canvas.
  if (cache === false || (cache === undefined && (!exact || cfgScale > 0))) return null;
  if (cache === undefined) return { kind: 'exact' };
  const kind = wordOption('cache', cache, ['prefix', 'dual']);
  if (exact) {
    throw new RND1Error(
      'unsupported_model',
      `cache is '${kind}', which is for models with full attention: this one has an exact cache of its own`,
    );
  }
  if (cfgScale > 0) throw new TypeError(`cache '${kind}' and cfgScale exclude each other`);
  return { kind, refresh: every };
}
