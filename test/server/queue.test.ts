import { type Leave, Queue } from '../../lib/server/queue';

const { signal } = new AbortController();

/** Whether a promise is settled by now. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol('pending');
  await null;
  const first = await Promise.race([promise.catch(() => {}), Promise.resolve(pending)]);
  return first !== pending;
}

test('lets in as many as there are places, the others in order of arrival', async () => {
  const queue = new Queue(2, 10);
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
  const queue = new Queue(3, 10);
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
  const queue = new Queue(1, 2);
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
  const queue = new Queue(2, 10);
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
  const queue = new Queue(2, 0);
  const leave = await queue.enter(1, signal);
  await queue.enter(1, signal);
  leave();
  leave();
  expect(queue.running).toBe(1);
});

test('starts nothing for a signal that is aborted already', () => {
  const queue = new Queue(1, 1);
  expect(() => queue.enter(1, AbortSignal.abort(new Error('gone')))).toThrow('gone');
  expect(queue.running).toBe(0);
});
