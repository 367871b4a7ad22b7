import { Caches, cacheBytesPerPosition, defaultCacheBytes } from '../../../lib/runtime/caches';
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

let session: Session;
let caches: Caches;
beforeEach(() => {
  session = new Session();
  caches = new Caches(session, () => new FakeFlag(), { bytesPerPosition: 10, maxBytes: 100 });
});

test('opens caches within the limit, and again when others are closed', async () => {
  const [first, second, third] = [await caches.open(6), await caches.open(4), await caches.open(1)];
  expect(caches.bytes).toBe(100);
  expect(first?.store.positions).toBe(6);
  expect(third).toBeNull();
  first?.close();
  first?.close();
  expect(caches.bytes).toBe(40);
  expect(session.disposed).toBe(1);
  expect(await caches.open(6)).not.toBeNull();
  second?.close();
  expect(caches.bytes).toBe(60);
  expect(session.made).toEqual([6, 4, 6]);
});

test('counts caches that are being made', async () => {
  const both = await Promise.all([caches.open(6), caches.open(6)]);
  expect(both.map((cache) => cache === null)).toEqual([false, true]);
});

test('does without if memory is short, and passes other errors on', async () => {
  session.next = async () => {
    throw failure('out_of_memory');
  };
  expect(await caches.open(5)).toBeNull();
  session.next = async () => {
    throw failure('disposed');
  };
  await expect(caches.open(5)).rejects.toMatchObject({ name: 'RND1Error', code: 'disposed' });
  expect(caches.bytes).toBe(0);
});

test('an aborted call rejects at once, and its cache is freed when it comes', async () => {
  let goOn = () => {};
  session.next = () => new Promise((resolve) => (goOn = resolve));
  const controller = new AbortController();
  const opening = caches.open(5, controller.signal);
  const reason = new Error('enough');
  controller.abort(reason);
  await expect(opening).rejects.toBe(reason);
  expect(caches.bytes).toBe(0);
  goOn();
  await new Promise(setImmediate);
  expect(session.disposed).toBe(1);
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
