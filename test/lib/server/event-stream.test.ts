import { Writable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { event, watchedStream } from '../../../lib/server/event-stream';

const calm = { keepAlive: 0, stallTimeout: 0, onStall: () => {} };

test('an event is one line of data, with a name where it has one', () => {
  expect(event({ text: 'a\nb' })).toBe('data: {"text":"a\\nb"}\n\n');
  expect(event('[DONE]')).toBe('data: [DONE]\n\n');
  expect(event({}, 'end')).toBe('event: end\ndata: {}\n\n');
});

test('a reader that does not read stops what makes the chunks', async () => {
  let made = 0;
  async function* chunks() {
    for (;;) {
      made++;
      yield 'x'.repeat(1000);
    }
  }
  const stream = watchedStream(chunks(), calm);
  const reader = new Writable({ highWaterMark: 5000, write: () => {} });
  stream.pipe(reader);
  await wait(50);
  // 5 chunks until the reader's buffer is full, and one or two in transit.
  expect(made).toBeLessThanOrEqual(8);
  const before = made;
  await wait(50);
  expect(made).toBe(before);
  stream.destroy();
});

test('closing it ends what makes the chunks', async () => {
  let ended = false;
  async function* chunks() {
    try {
      for (;;) yield 'x';
    } finally {
      ended = true;
    }
  }
  const stream = watchedStream(chunks(), calm);
  for await (const _ of stream) break;
  await wait(5);
  expect(ended).toBe(true);
});

test('comments tell that it is alive while there is nothing to say', async () => {
  async function* chunks() {
    await wait(80);
    yield 'data: 1\n\n';
  }
  let text = '';
  for await (const chunk of watchedStream(chunks(), { ...calm, keepAlive: 0.01 })) text += chunk;
  expect(text).toMatch(/^(: keep-alive\n\n)+data: 1\n\n$/);
});

test('who reads nothing for too long is reported', async () => {
  async function* chunks() {
    for (;;) yield 'x';
  }
  const stalled = new Promise<void>((resolve) => {
    const stream = watchedStream(chunks(), { ...calm, stallTimeout: 0.01, onStall: resolve });
    stream.pipe(new Writable({ highWaterMark: 1, write: () => {} }));
  });
  await stalled;
});
