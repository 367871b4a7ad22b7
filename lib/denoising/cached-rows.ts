import type { CacheUse, KeyValueCache } from '../../types/native';
import type { Block } from './blocks';

/** The positions [first, end). */
export const positions = (first: number, end: number): Int32Array =>
  Int32Array.from({ length: Math.max(end - first, 0) }, (_, i) => first + i);

/**
 * A cache of keys and values that gives the same bits as none: it knows with which token each position was computed,
 * and computes again what a changed token may have changed. `block`: of the attention mask, at least 1.
 */
export class ExactCache {
  readonly #store: KeyValueCache;
  readonly #block: number;
  readonly #tokens: Int32Array;

  /** @param tokens with which each position was computed, which this keeps true; −1 = its keys and values are unknown */
  constructor(
    { store, tokens }: { readonly store: KeyValueCache; readonly tokens: Int32Array },
    block: number,
  ) {
    this.#store = store;
    this.#block = block;
    this.#tokens = tokens;
  }

  /** The rows of a pass that sees the tokens [0, `end`) and needs some rows besides; its step must not fail. */
  use(tokens: Int32Array, end: number, needed: readonly number[]): CacheUse {
    let changed = 0;
    while (changed < end && this.#tokens[changed] === tokens[changed]) changed++;
    // A position sees all of its block and what is before it.
    const first = changed - (changed % this.#block);
    const rows = [...new Set(needed.filter((row) => row < first)), ...positions(first, end)];
    if (first < end) {
      this.#tokens.set(tokens.subarray(first, end), first);
      // More of the last block may become visible, and what an earlier text left behind it was computed with other tokens.
      this.#tokens.fill(-1, end - (end % this.#block));
    }
    return { store: this.#store, rows: Int32Array.from(rows).sort() };
  }
}

/**
 * Fast-dLLM's caches for full attention, which are approximate: the first pass of a block computes everything, later ones
 * the block alone (`dual`) or the block and what follows it (`prefix`).
 */
export class BlockCache {
  readonly #store: KeyValueCache;
  readonly #kind: 'prefix' | 'dual';
  readonly #refresh: number | null;

  /** @param refresh every so many passes of a block compute everything; null: the first one only */
  constructor(store: KeyValueCache, { kind, refresh }: BlockCacheOptions) {
    this.#store = store;
    this.#kind = kind;
    this.#refresh = refresh;
  }

  /** The rows of a block's pass, counted from 0, over a canvas of `length` tokens. */
  use({ start, end }: Block, pass: number, length: number, shift: number): CacheUse {
    const everything = pass === 0 || (this.#refresh !== null && pass % this.#refresh === 0);
    const first = everything ? 0 : Math.max(start - shift, 0);
    return {
      store: this.#store,
      rows: positions(first, everything || this.#kind === 'prefix' ? length : end),
    };
  }
}

/** How a `BlockCache` works. */
export interface BlockCacheOptions {
  readonly kind: 'prefix' | 'dual';
  readonly refresh: number | null;
}
