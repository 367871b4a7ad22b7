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
  /** Frees it, and the room it takes; a step that uses it keeps its memory until it ends. */
  close(): void;
}

/** Opens a cache for a canvas of at most that many positions; null if there is no room for one. */
export type OpenCache = (positions: number, signal?: AbortSignal) => Promise<RunCache | null>;

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

/** The key/value caches of all runs of a model, within a limit. */
export class Caches {
  readonly #session: CacheSession;
  readonly #makeFlag: () => AbortFlag;
  readonly #bytesPerPosition: number;
  /** Most bytes at a time. */
  readonly maxBytes: number;
  #bytes = 0;

  constructor(
    session: CacheSession,
    makeFlag: () => AbortFlag,
    options: { readonly bytesPerPosition: number; readonly maxBytes: number },
  ) {
    this.#session = session;
    this.#makeFlag = makeFlag;
    this.#bytesPerPosition = options.bytesPerPosition;
    this.maxBytes = options.maxBytes;
  }

  /** Bytes of the caches in use. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * A cache for one run; null if it would exceed the limit, or if memory is short. Rejects with the signal's reason, and
   * with `disposed`.
   */
  readonly open: OpenCache = async (positions, signal) => {
    const bytes = positions * this.#bytesPerPosition;
    if (this.#bytes + bytes > this.maxBytes) return null;
    this.#bytes += bytes;
    let open = true;
    const close = (store?: KeyValueCache) => {
      if (!open) return;
      open = false;
      this.#bytes -= bytes;
      store?.dispose();
    };
    try {
      const make = () => this.#session.createCache(positions);
      const store = await abortable(this.#makeFlag(), signal, make, (late) => late.dispose());
      return { store, close: () => close(store) };
    } catch (error) {
      close();
      if (error instanceof RND1Error && error.code === 'out_of_memory') return null;
      throw error;
    }
  };
}
