import type { AbortFlag, Architecture, FloatType, KeyValueCache, NativeSystem } from '../../types/native';
import { RND1Error } from '../support/errors';
import { abortable } from './abort';

/** The part of a native session that caches are made with. */
export interface CacheSession {
  createCache(positions: number): Promise<KeyValueCache>;
}

/** The key/value cache of one run. */
export interface RunCache {
  readonly store: KeyValueCache;
  /**
   * The token with which each of the store's positions was computed, −1 = its keys and values are unknown. Whoever runs
   * passes keeps it true.
   */
  readonly tokens: Int32Array;
  /**
   * Ends the run's use. A text's cache is kept for one that begins alike unless the run `failed`; any other is freed, and
   * so is the room it takes. A step that uses it keeps its memory until it ends.
   */
  close(failed: boolean): void;
}

/** What a run wants a cache for. */
export interface CacheRequest {
  /** Length of its canvas. */
  readonly positions: number;
  /**
   * The canvas, if what the cache holds depends on the tokens before alone: what an earlier run has computed for the
   * same ones is used again. `block`: of the attention mask. null: the cache serves this run only.
   */
  readonly text: { readonly tokens: Int32Array; readonly block: number } | null;
}

/** Opens a cache for a run; null if there is no room for one. */
export type OpenCache = (request: CacheRequest, signal?: AbortSignal) => Promise<RunCache | null>;

/** Bytes of keys and values of one position, in all layers. */
export function cacheBytesPerPosition({ layers }: Architecture, dtype: FloatType): number {
  const columns = layers.reduce((sum, { attention }) => sum + attention.keyValueHeads * attention.headDim, 0);
  return 2 * columns * (dtype === 'f32' ? 4 : 2);
}

/** Bytes of caches by default, once the weights are loaded: a quarter of what is left. */
export function defaultCacheBytes(device: string, weightBytes: number, system: () => NativeSystem): number {
  if (device === 'cpu') return Math.floor(process.availableMemory() / 4);
  const gpu = system().gpus.find((known) => known.device === device);
  return Math.max(0, Math.floor(((gpu?.bytes ?? 0) - weightBytes) / 4));
}

/** A cache and what it holds. */
interface Entry {
  readonly store: KeyValueCache;
  readonly tokens: Int32Array;
  /** Of the attention mask under which the text was computed; null = not to be used again. */
  readonly block: number | null;
}

/** Caches of finished texts that are kept at most. */
const mostKept = 16;

/** Fewest positions of a text's cache: a conversation grows. */
const leastPositions = 1024;

/** The key/value caches of all runs of a model, within a limit; those of finished texts until the room is needed. */
export class Caches {
  readonly #session: CacheSession;
  readonly #makeFlag: () => AbortFlag;
  readonly #bytesPerPosition: number;
  readonly #maxPositions: number;
  /** Most bytes at a time. */
  readonly maxBytes: number;
  #bytes = 0;
  #closed = false;
  /** Those of finished texts, the one that was used last at the end. */
  #kept: Entry[] = [];

  constructor(
    session: CacheSession,
    makeFlag: () => AbortFlag,
    options: { readonly bytesPerPosition: number; readonly maxBytes: number; readonly maxPositions: number },
  ) {
    this.#session = session;
    this.#makeFlag = makeFlag;
    this.#bytesPerPosition = options.bytesPerPosition;
    this.#maxPositions = options.maxPositions;
    this.maxBytes = options.maxBytes;
  }

  /** Bytes of all caches, of running and of finished texts. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Frees the caches of finished texts, and from now on each as its run ends. */
  close(): void {
    this.#closed = true;
    while (this.#freeOldest());
  }

  /**
   * A cache for one run; null if it would exceed the limit, or if memory is short. Rejects with the signal's reason, and
   * with `disposed`.
   */
  readonly open: OpenCache = async ({ positions, text }, signal) => {
    const known = text === null ? null : this.#take(text.tokens, text.block);
    if (known !== null) return this.#opened(known);
    const block = text?.block ?? null;
    // Doubled as a vector is, so that a conversation that outgrows its cache is computed anew now and then only.
    const roomy = Math.max(leastPositions, 2 ** Math.ceil(Math.log2(positions)));
    const sizes = text === null ? [positions] : [Math.min(roomy, this.#maxPositions), positions];
    for (const size of new Set(sizes)) {
      const store = await this.#make(size, signal);
      if (store !== null) return this.#opened({ store, tokens: new Int32Array(size).fill(-1), block });
    }
    return null;
  };

  /**
   * Takes the kept cache with the longest common beginning out, if there is one with room for the text of which at least
   * half is common: what follows is lost to the conversation that has left it.
   */
  #take(tokens: Int32Array, block: number): Entry | null {
    let best: Entry | null = null;
    let longest = 0;
    for (const entry of this.#kept) {
      if (entry.block !== block || entry.tokens.length < tokens.length) continue;
      const length = commonLength(entry.tokens, tokens);
      // What does not fill a block is computed again.
      if (length < block || length <= longest || 2 * length < knownLength(entry.tokens)) continue;
      [best, longest] = [entry, length];
    }
    this.#kept = this.#kept.filter((entry) => entry !== best);
    return best;
  }

  /** Makes a cache, for which those of finished texts have to go if there is no room; null if that is not enough. */
  async #make(positions: number, signal: AbortSignal | undefined): Promise<KeyValueCache | null> {
    const bytes = positions * this.#bytesPerPosition;
    if (bytes > this.maxBytes) return null;
    const make = () => this.#session.createCache(positions);
    for (;;) {
      while (this.#bytes + bytes > this.maxBytes) if (!this.#freeOldest()) return null;
      this.#bytes += bytes;
      try {
        return await abortable(this.#makeFlag(), signal, make, (late) => late.dispose());
      } catch (error) {
        this.#bytes -= bytes;
        if (!(error instanceof RND1Error && error.code === 'out_of_memory')) throw error;
        if (!this.#freeOldest()) return null;
      }
    }
  }

  #opened(entry: Entry): RunCache {
    let open = true;
    const close = (failed: boolean) => {
      if (!open) return;
      open = false;
      if (failed || entry.block === null || this.#closed) this.#free(entry);
      else this.#keep(entry);
    };
    return { store: entry.store, tokens: entry.tokens, close };
  }

  #keep(entry: Entry): void {
    const { block, tokens } = entry;
    // The conversation has outgrown those that hold a part of it.
    const isOutgrown = (kept: Entry) =>
      kept.block === block && commonLength(kept.tokens, tokens) >= knownLength(kept.tokens);
    for (const kept of this.#kept.filter(isOutgrown)) this.#free(kept);
    this.#kept = [...this.#kept.filter((kept) => !isOutgrown(kept)), entry];
    if (this.#kept.length > mostKept) this.#freeOldest();
  }

  #freeOldest(): boolean {
    const oldest = this.#kept.shift();
    if (oldest === undefined) return false;
    this.#free(oldest);
    return true;
  }

  #free({ store, tokens }: Entry): void {
    this.#bytes -= tokens.length * this.#bytesPerPosition;
    store.dispose();
  }
}

/** How many of the first tokens are the same. */
function commonLength(a: Int32Array, b: Int32Array): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a[length] === b[length]) length++;
  return length;
}

/** How many of the first positions were computed. */
function knownLength(tokens: Int32Array): number {
  const end = tokens.indexOf(-1);
  return end < 0 ? tokens.length : end;
}
