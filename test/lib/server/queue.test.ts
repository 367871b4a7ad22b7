import { type Leave, Queue } from '../../../lib/server/queue';

const { signal } = new AbortController();

/** Whether a promise is already settled. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  await null;
  const first = await Promise.race([promise.catch(() => {}), Promise.resolve(pending)]);
  return first !== pending;
}

test('lets in as many as there are places, the others in order of arrival', async () => {
  const queue = new Queue({ maxRunning: 2, maxQueued: 10 });
  const [a, b] = await Promise.all([queue.enter(1, signal), queue.enter(1, signal)]);
  const c = queue.enter(1, signal);
  const d = queue.enter(1, signal);
  expect(queue).toMatchObject({ running: 2, queued: 2 });
  expect(await settled(c)).toBe(false);
  (b as Leave)();
  await c;
  expect(await settled(d)).toBe(false);
  (a as Leave)();
  await d;
  expect(queue).toMatchObject({ running: 2, queued: 0 });
});

test('does not let small requests overtake a large one', async () => {
  const queue = new Queue({ maxRunning: 3, maxQueued: 10 });
  const leave = await queue.enter(1, signal);
  const large = queue.enter(3, signal);
  const small = queue.enter(1, signal);
  expect(await settled(small)).toBe(false);
  leave();
  (await large)();
  await small;
  expect(queue).toMatchObject({ running: 1, queued: 0 });
});

test('refuses at once what may not wait, and says when to come again', async () => {
  const queue = new Queue({ maxRunning: 1, maxQueued: 2 });
  await queue.enter(1, signal);
  void queue.enter(1, signal);
  void queue.enter(1, signal);
  expect(() => queue.enter(1, signal)).toThrow(
    expect.objectContaining({
      status: 429,
      code: 'queue_full',
      headers: { 'retry-after': expect.stringMatching(/^[1-9]\d*$/) },
    }),
  );
  expect(queue).toMatchObject({ running: 1, queued: 2 });
});

test('forgets who gives up waiting, and lets in who stood behind', async () => {
  const queue = new Queue({ maxRunning: 2, maxQueued: 10 });
  const leave = await queue.enter(1, signal);
  const controller = new AbortController();
  const large = queue.enter(2, controller.signal);
  const small = queue.enter(1, signal);
  controller.abort(new Error('enough'));
  await expect(large).rejects.toThrow('enough');
  await small;
  expect(queue).toMatchObject({ running: 2, queued: 0 });
  leave();
  expect(queue.running).toBe(1);
});

test('takes a place back once, however often it is given', async () => {
  const queue = new Queue({ maxRunning: 2, maxQueued: 0 });
  const leave = await queue.enter(1, signal);
  await queue.enter(1, signal);
  leave();
  leave();
  expect(queue.running).toBe(1);
});

test('starts nothing for a signal that is aborted already', () => {
  const queue = new Queue({ maxRunning: 1, maxQueued: 1 });
  expect(() => queue.enter(1, AbortSignal.abort(new Error('gone')))).toThrow('gone');
  expect(queue.running).toBe(0);
});

describe('clients', () => {
  const enterAll = (queue: Queue, order: string[], list: readonly string[]) =>
    list.map((name) =>
      queue.enter(1, signal, name[0]).then((leave) => {
        order.push(name);
        return leave;
      }),
    );

  test('take turns, each in the order of its own requests', async () => {
    const queue = new Queue({ maxRunning: 1, maxQueued: 10 });
    const order: string[] = [];
    for (const entering of enterAll(queue, order, ['a0', 'a1', 'a2', 'a3', 'b1', 'b2', 'c1'])) {
      // The next request has entered by now; all others wait.
      void entering.then((leave) => leave());
    }
    await new Promise(setImmediate);
    expect(order).toEqual(['a0', 'a1', 'b1', 'c1', 'a2', 'b2', 'a3']);
    expect(queue).toMatchObject({ running: 0, queued: 0 });
  });

  test('leave places to others, and wait for their own without holding them up', async () => {
    const queue = new Queue({ maxRunning: 4, maxQueued: 10, maxRunningPerClient: 2 });
    const leave = await queue.enter(2, signal, 'a');
    const more = queue.enter(2, signal, 'a');
    await queue.enter(2, signal, 'b');
    expect(queue).toMatchObject({ running: 4, queued: 2 });
    leave();
    await more;
    expect(queue).toMatchObject({ running: 4, queued: 0 });
  });

  test('that ask for too much are refused by name of the limit, while others are not', async () => {
    const queue = new Queue({ maxRunning: 2, maxQueued: 10, maxPerClient: 3 });
    const leave = await queue.enter(2, signal, 'a');
    const controller = new AbortController();
    const waits = queue.enter(1, controller.signal, 'a');
    const tooMany = expect.objectContaining({
      status: 429,
      code: 'too_many_for_client',
      message: expect.stringContaining('--max-per-client'),
      headers: { 'retry-after': expect.stringMatching(/^[1-9]\d*$/) },
    });
    expect(() => queue.enter(1, signal, 'a')).toThrow(tooMany);
    const other = queue.enter(1, signal, 'b');
    // Canvases that ended or were aborted no longer count.
    controller.abort(new Error('enough'));
    await expect(waits).rejects.toThrow('enough');
    void queue.enter(1, signal, 'a');
    expect(() => queue.enter(1, signal, 'a')).toThrow(tooMany);
    leave();
    await other;
    expect(queue).toMatchObject({ running: 2, queued: 0 });
  });
});
