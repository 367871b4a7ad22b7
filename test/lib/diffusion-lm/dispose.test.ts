import { load, sessionOf } from './nano-model';

jest.mock('../../../lib/runtime/binding');

describe('dispose', () => {
  it('rejects pending and later calls, and may be called again', async () => {
    const model = await load();
    const session = sessionOf();
    session.beforeResult = () => new Promise(() => {});
    const started = model.denoise('?');
    const pending = [model.generate('?'), model.generateTokens({ maxNewTokens: 3 }), started.next()];
    const outcomes = Promise.allSettled(pending);
    await new Promise(setImmediate);
    await new Promise(setImmediate);
    expect(session.batches).toHaveLength(1);
    await Promise.all([model.dispose(), model.dispose()]);
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { name: 'RND1Error', code: 'disposed' } });
    }
    expect(session.disposals).toBe(1);
    expect(session.flags[0]?.aborted).toBe(true);

    for (const call of [
      () => model.generate('?'),
      () => model.infill({ length: 1 }),
      () => model.fill('a___'),
      () => model.forward([1]),
      () => model.generateTokens({ maxNewTokens: 3 }),
      async () => model.denoise('?').next(),
      async () => model.denoiseTokens({ canvas: [1], masked: [] }).next(),
    ]) {
      await expect(call()).rejects.toMatchObject({ name: 'RND1Error', code: 'disposed' });
    }
  });

  it('ends a run between two frames', async () => {
    const model = await load();
    const frames = model.denoise('?', { steps: 8, maxNewTokens: 9 });
    await frames.next();
    await model.dispose();
    await expect(frames.next()).rejects.toMatchObject({ code: 'disposed' });
  });

  it('works with `await using`', async () => {
    {
      await using model = await load();
      expect(model.info.device).toBe('cpu');
    }
    expect(sessionOf().disposals).toBe(1);
  });
});
