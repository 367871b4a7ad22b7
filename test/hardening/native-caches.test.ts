import { plainCanvas } from '../../lib/denoising/state';
import { printedBy } from './children';
import { canvas, missing, native, openSession, plan, refuses, request, type Session } from './native-calls';
import { failureOf } from './support';

/** Key/value caches of the addon: what they hold is exact, and what is done wrong is an error. */
const opened = openSession();
type Cache = Awaited<ReturnType<Session['createCache']>>;
const range = (first: number, end: number) => Int32Array.from({ length: end - first }, (_, i) => first + i);
const tokens = range(1, 25);
const whole = { ...plainCanvas, tokens, masked: Int32Array.of(7, 12), plan };

async function withCache(use: (store: Cache) => Promise<void>): Promise<void> {
  const store = await opened.session.createCache(32);
  try {
    await use(store);
  } finally {
    store.dispose();
  }
  expect(opened.session.cacheBytes).toBe(0);
}

it('some rows give what all rows give', async () => {
  await withCache(async (store) => {
    const { layers } = opened.description.architecture;
    const columns = layers.reduce(
      (sum, { attention }) => sum + attention.keyValueHeads * attention.headDim,
      0,
    );
    expect(store.positions).toBe(32);
    expect(store.bytes).toBe(32 * 2 * columns * 4);
    expect(opened.session.cacheBytes).toBe(store.bytes);
    const expected = await opened.session.step([whole], null, null);
    for (const rows of [range(0, 24), Int32Array.of(6, 11), Int32Array.of(0, 6, 7, 11, 23)]) {
      expect(await opened.session.step([{ ...whole, cache: { store, rows } }], null, null)).toEqual(expected);
    }
    const [cached, alone] = await opened.session.step(
      [{ ...whole, cache: { store, rows: Int32Array.of(6, 11) } }, canvas],
      null,
      null,
    );
    expect([cached]).toEqual(expected);
    expect([alone]).toEqual(opened.before);
  });
});

it('forward passes return the rows that are computed', async () => {
  await withCache(async (store) => {
    const rows = Int32Array.of(9, 3);
    const all = { ...request, tokens, routing: true };
    const expected = await opened.session.forward([{ ...all, rows }], null);
    const filled = await opened.session.forward([{ ...all, cache: { store, rows: range(0, 24) } }], null);
    expect(filled).toEqual(await opened.session.forward([all], null));
    const computed = Int32Array.of(3, 9);
    expect(await opened.session.forward([{ ...all, rows, cache: { store, rows: computed } }], null)).toEqual(
      expected,
    );
    const [byDefault] = await opened.session.forward([{ ...all, cache: { store, rows: computed } }], null);
    expect(byDefault).toEqual((await opened.session.forward([{ ...all, rows: computed }], null))[0]);
    await refuses(
      () => opened.session.forward([{ ...all, rows, cache: { store, rows: Int32Array.of(3) } }], null),
      'position 9 is to be returned',
    );
  });
});

it('refuses what is no cache, or does not suit', async () => {
  await withCache(async (store) => {
    const rows = range(0, 24);
    const step = (cache: unknown) => opened.session.step([{ ...whole, cache: cache as never }], null, null);
    for (const wrong of missing.slice(2)) {
      if (typeof wrong !== 'object' && typeof wrong !== 'function') await refuses(() => step(wrong), 'cache');
    }
    for (const wrong of [...missing, Object.create(native.KeyValueCache.prototype), new Proxy(store, {})]) {
      await refuses(() => step({ store: wrong, rows }), 'cache.store must be a KeyValueCache');
    }
    for (const wrong of [...missing, [1], new Float32Array(2)]) {
      await refuses(() => step({ store, rows: wrong }), 'rows must be an Int32Array');
    }
    for (const [wrong, said] of [
      [[], 'must not be empty'],
      [[-1], '-1 is not'],
      [[24], '24 is not'],
      [[0, 1, 0], '0 is not'],
      [[6, 11], 'position 0 was never computed'],
      [range(0, 11), 'position 11 was never computed'],
    ] as const) {
      await refuses(() => step({ store, rows: Int32Array.from(wrong) }), said);
    }
    const cached = { ...whole, cache: { store, rows } };
    await refuses(() => opened.session.step([cached, cached], null, null), 'the same one');
    const long = { ...cached, tokens: new Int32Array(33).fill(1) };
    await refuses(() => opened.session.step([long], null, null), 'has 33 positions');
    const other = await native.Session.load(opened.description, null, null);
    await refuses(() => other.step([cached], null, null), 'another session');
    await other.dispose();
    for (const positions of [...missing.filter((value) => value !== 7), 0, -1, 1.5, 2 ** 40]) {
      await refuses(() => opened.session.createCache(positions as never), 'positions');
    }
  });
});

it('comes from createCache and from nowhere else', async () => {
  const Class = native.KeyValueCache as unknown as new () => unknown;
  await refuses(() => new Class(), 'createCache');
  const { prototype } = native.KeyValueCache;
  for (const name of ['positions', 'bytes'] as const) {
    const getter = Object.getOwnPropertyDescriptor(prototype, name)?.get as () => number;
    await refuses(() => getter.call(opened.session), 'a KeyValueCache');
  }
  const bytes = Object.getOwnPropertyDescriptor(native.Session.prototype, 'cacheBytes')?.get as () => number;
  await refuses(() => bytes.call({}), 'a Session');
});

it('is used until the steps that have it end, and disposed once', async () => {
  const store = await opened.session.createCache(32);
  const cached = { ...whole, cache: { store, rows: range(0, 24) } };
  const [expected] = await opened.session.step([whole], null, null);
  const running = [opened.session.step([cached], null, null), opened.session.step([cached], null, null)];
  store.dispose();
  store.dispose();
  expect(opened.session.cacheBytes).toBe(store.bytes);
  expect(await Promise.all(running)).toEqual([[expected], [expected]]);
  await new Promise(setImmediate);
  expect(opened.session.cacheBytes).toBe(0);
  await refuses(() => opened.session.step([cached], null, null), 'was disposed');
  expect(store.positions).toBe(32);
});

it('does not keep a disposed model from ending, and fails with it', async () => {
  const session = await native.Session.load(opened.description, null, null);
  const store = await session.createCache(32);
  const pending = session.createCache(32).then(
    () => 'made',
    ({ code }) => code,
  );
  await session.dispose();
  expect(['made', 'disposed']).toContain(await pending);
  expect(await failureOf(() => session.createCache(1))).toMatchObject({ code: 'disposed' });
  store.dispose();
});

it('is freed when nothing holds it any more', async () => {
  const printed = await printedBy(
    `const session = await loadBinding().Session.load(${JSON.stringify(opened.description)}, null, null);
    const caches = [];
    for (let i = 0; i < 40; i++) caches.push(await session.createCache(4000));
    const most = session.cacheBytes;
    caches.length = 0;
    for (let i = 0; i < 4; i++) {
      gc();
      await new Promise(setImmediate);
    }
    console.log(JSON.stringify([most, session.cacheBytes]));
    await session.dispose();`,
    ['--expose-gc'],
  );
  const [most, left] = printed as [number, number];
  // The last one may still be on the stack.
  expect(left).toBeLessThanOrEqual(most / 40);
});
