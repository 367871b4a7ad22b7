import {
  type CacheRequest,
  Caches,
  cacheBytesPerPosition,
  defaultCacheBytes,
  type RunCache,
} from '../../../lib/runtime/caches';
import type { Architecture, KeyValueCache } from '../../../types/native';
import { FakeFlag } from './fake-session';

const failure = (code: string) => Object.assign(new Error(`it is ${code}`), { code });

/** Makes caches when told to. */
class Session {
  readonly made: number[] = [];
  disposed = 0;
  next: () => Promise<void> = async () => {};

  async createCache(positions: number): Promise<KeyValueCache> {
    await this.next();
    this.made.push(positions);
    return {
      positions,
      bytes: positions * 10,
      dispose: () => void this.disposed++,
    } as unknown as KeyValueCache;
  }
}

/** A run that keeps nothing. */
const run = (positions: number): CacheRequest => ({ positions, text: null });
/** A text of these tokens and one more. */
const text = (tokens: readonly number[], block = 1): CacheRequest => ({
  positions: tokens.length + 1,
  text: { tokens: Int32Array.of(...tokens, -7), block },
});

const openCaches = (session: Session, maxBytes: number, maxPositions: number) =>
  new Caches(session, () => new FakeFlag(), { bytesPerPosition: 10, maxBytes, maxPositions });

let session: Session;
let caches: Caches;
beforeEach(() => {
  session = new Session();
  caches = openCaches(session, 100, 4096);
});

test('opens caches within the limit, and again when others are closed', async () => {
  const [first, second, third] = [
    await caches.open(run(6)),
    await caches.open(run(4)),
    await caches.open(run(1)),
  ];
  expect(caches.bytes).toBe(100);
  expect(first?.store.positions).toBe(6);
  expect(third).toBeNull();
  first?.close(false);
  first?.close(false);
  expect(caches.bytes).toBe(40);
  expect(session.disposed).toBe(1);
  expect(await caches.open(run(6))).not.toBeNull();
  second?.close(false);
  expect(caches.bytes).toBe(60);
  expect(session.made).toEqual([6, 4, 6]);
});

test('counts caches that are being made', async () => {
  const both = await Promise.all([caches.open(run(6)), caches.open(run(6))]);
  expect(both.map((cache) => cache === null)).toEqual([false, true]);
});

test('does without if memory is short, and passes other errors on', async () => {
  session.next = async () => {
    throw failure('out_of_memory');
  };
  expect(await caches.open(run(5))).toBeNull();
  session.next = async () => {
    throw failure('disposed');
  };
  await expect(caches.open(run(5))).rejects.toMatchObject({ name: 'RND1Error', code: 'disposed' });
  expect(caches.bytes).toBe(0);
});

test('an aborted call rejects at once, and its cache is freed when it comes', async () => {
  let goOn = () => {};
  session.next = () => new Promise((resolve) => (goOn = resolve));
  const controller = new AbortController();
  const opening = caches.open(run(5), controller.signal);
  const reason = new Error('enough');
  controller.abort(reason);
  await expect(opening).rejects.toBe(reason);
  expect(caches.bytes).toBe(0);
  goOn();
  await new Promise(setImmediate);
  expect(session.disposed).toBe(1);
});

describe('the cache of a finished text', () => {
  beforeEach(() => {
    caches = openCaches(session, 100_000, 4096);
  });

  /** A run that computes the text; its cache. */
  async function write(tokens: readonly number[], { block = 1, failed = false } = {}) {
    const opened = (await caches.open(text(tokens, block))) as RunCache;
    opened.tokens.set(tokens);
    opened.close(failed);
    return opened.store;
  }

  test('serves the one with which it has most in common', async () => {
    const [one, two] = [await write([1, 2, 3]), await write([1, 5])];
    expect(session.made).toEqual([1024, 1024]);
    expect(caches.bytes).toBe(20_480);
    const next = await caches.open(text([1, 2, 4]));
    expect(next?.store).toBe(one);
    expect([...(next as RunCache).tokens.subarray(0, 4)]).toEqual([1, 2, 3, -1]);
    // Which is in use now.
    expect((await caches.open(text([1, 2, 4])))?.store).toBe(two);
    expect(session.made).toHaveLength(2);
  });

  test('serves no text that has little in common, nor another mask or a longer canvas', async () => {
    const whole = await write([1, 2, 3, 4, 5], { block: 4 });
    for (const other of [text([2, 1], 4), text([1, 2, 3, 9], 4), text([1, 2, 3, 4, 5], 5)]) {
      (await caches.open(other))?.close(true);
    }
    const longer = new Array(1100).fill(1).map((_, i) => i + 1);
    (await caches.open(text(longer, 4)))?.close(true);
    expect(session.made).toEqual([1024, 1024, 1024, 1024, 2048]);
    expect((await caches.open(text([1, 2, 3, 4], 4)))?.store).toBe(whole);
    await write([1, 2, 3, 4, 5]);
    (await caches.open(text([1, 2, 9])))?.close(true);
    expect(session.made).toHaveLength(7);
  });

  test('is freed when its run fails, when all are closed, and when a longer one replaces it', async () => {
    await write([1, 2], { failed: true });
    expect([caches.bytes, session.disposed]).toEqual([0, 1]);
    const first = await caches.open(text([1, 2, 3]));
    await write([1, 2]);
    expect(caches.bytes).toBe(20_480);
    first?.tokens.set([1, 2, 3]);
    first?.close(false);
    expect([caches.bytes, session.disposed]).toEqual([10_240, 2]);
    const late = await caches.open(text([9]));
    caches.close();
    expect([caches.bytes, session.disposed]).toEqual([10_240, 3]);
    // A run that ends after that leaves none.
    late?.close(false);
    expect([caches.bytes, session.disposed]).toEqual([0, 4]);
  });

  test('gives way to runs that need the room, the oldest first', async () => {
    const stores: unknown[] = [];
    for (const token of [1, 2, 3]) stores.push(await write([token]));
    // The first one is used again.
    expect(await write([1, 2])).toBe(stores[0]);
    (await caches.open(run(8000)))?.close(false);
    expect([caches.bytes, session.disposed]).toEqual([10_240, 3]);
    expect((await caches.open(text([1, 2, 3])))?.store).toBe(stores[0]);
  });

  test('gives way when memory is short', async () => {
    await write([1]);
    await write([2]);
    let failures = 1;
    session.next = async () => {
      if (failures-- > 0) throw failure('out_of_memory');
    };
    expect(await caches.open(run(5))).not.toBeNull();
    expect([caches.bytes, session.disposed]).toEqual([10_290, 1]);
  });

  test('is one of sixteen', async () => {
    caches = openCaches(session, 1e9, 4096);
    for (let token = 1; token <= 20; token++) await write([token]);
    expect([caches.bytes, session.disposed]).toEqual([16 * 10_240, 4]);
  });

  test('has room to grow, as far as the model and the limit allow', async () => {
    caches = openCaches(session, 30_000, 1500);
    (await caches.open(text(new Array(1100).fill(1))))?.close(true);
    caches = openCaches(session, 13_000, 4096);
    (await caches.open(text(new Array(1100).fill(1))))?.close(true);
    expect(session.made).toEqual([1500, 1101]);
  });
});

test('the bytes of a position are those of all layers', () => {
  const layer = (keyValueHeads: number, headDim: number) => ({ attention: { keyValueHeads, headDim } });
  const architecture = { layers: [layer(4, 128), layer(2, 64)] } as unknown as Architecture;
  expect(cacheBytesPerPosition(architecture, 'f32')).toBe(2 * (512 + 128) * 4);
  expect(cacheBytesPerPosition(architecture, 'bf16')).toBe(2 * (512 + 128) * 2);
});

test('the default limit is a quarter of what the weights leave', () => {
  const gpus = [{ device: 'cuda:1', name: '', bytes: 1000 }];
  const system = () => ({ gpus }) as unknown as ReturnType<Parameters<typeof defaultCacheBytes>[2]>;
  expect(defaultCacheBytes('cuda:1', 600, system)).toBe(100);
  expect(defaultCacheBytes('cuda:1', 1200, system)).toBe(0);
  const onCpu = defaultCacheBytes('cpu', 600, system);
  expect(onCpu / process.availableMemory()).toBeCloseTo(0.25, 1);
});
