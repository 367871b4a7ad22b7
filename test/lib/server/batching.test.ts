import { sessionOf } from '../diffusion-lm/nano-model';
import { eventsOf, folderWith, gate, post, postUnread, serve, until } from './served';

jest.mock('../../../lib/runtime/binding');

const ids = (length: number) => Array.from({ length }, (_, i) => (i * 7) % 256);
/** A request of `steps` steps on a canvas of `length` tokens. */
const work = (length: number, steps: number) => ({
  tokens: ids(length),
  masked: Array.from({ length: steps }, (_, i) => i + 1),
  steps,
  seed: 1,
});
const lengthsOf = () => sessionOf().batches.map((batch) => batch.map(({ tokens }) => tokens.length));
const eventsFrom = async (response: Promise<Response>) => eventsOf(await (await response).text());

test('a new canvas joins at the next step, and those that are done leave', async () => {
  const { url } = await serve();
  const gates = [gate(), gate(), gate(), gate(), gate()];
  let step = 0;
  sessionOf().beforeResult = () => gates[step++]?.closed;
  const first = eventsFrom(post(`${url}/v1/denoise`, work(20, 4)));
  await until(() => step === 1);
  const second = eventsFrom(post(`${url}/v1/denoise`, work(10, 2)));
  // It is laid out and waits; the running step continues without it.
  await untilRunning(url, 2);
  for (const each of gates) each.open();
  await Promise.all([first, second]);
  const shared = lengthsOf().map((lengths) => lengths.sort((a, b) => b - a));
  expect(shared).toEqual([[20], [20, 10], [20, 10], [20]]);
});

const untilRunning = (url: string, count: number) =>
  until(async () => {
    const text = await (await fetch(`${url}/metrics`)).text();
    return text.includes(`rnd1_running_canvases ${count}\n`);
  });

test('requests together get the very frames that they get alone', async () => {
  const { url } = await serve();
  const requests = [work(20, 4), work(31, 7), { ...work(12, 5), temperature: 0.8, seed: 9 }];
  const essence = (events: ReturnType<typeof eventsOf>) =>
    events.map(({ name, data: { elapsed_ms: _, id: __, ...data } }) => ({ name, data }));
  const alone = [];
  for (const request of requests) alone.push(essence(await eventsFrom(post(`${url}/v1/denoise`, request))));
  const together = await Promise.all(
    requests.map((request) => eventsFrom(post(`${url}/v1/denoise`, request))),
  );
  expect(together.map(essence)).toEqual(alone);
  expect(Math.max(...sessionOf().batches.map((batch) => batch.length))).toBeGreaterThan(1);
});

describe('a client that goes away', () => {
  test('costs nothing from the next step on', async () => {
    const { url } = await serve();
    const held = gate();
    sessionOf().beforeResult = () => held.closed;
    const controller = new AbortController();
    const gone = post(`${url}/v1/denoise`, work(20, 9), { signal: controller.signal });
    const response = await gone;
    const stays = eventsFrom(post(`${url}/v1/denoise`, work(10, 3)));
    await untilRunning(url, 2);
    controller.abort();
    await response.text().catch(() => {});
    await untilRunning(url, 1);
    held.open();
    await stays;
    // The canvas was only in the step that was running when its client left.
    expect(lengthsOf().slice(1).flat()).not.toContain(20);
  });

  test('ends a step that nobody else waits for', async () => {
    const { url } = await serve();
    sessionOf().beforeResult = () => gate().closed;
    const controller = new AbortController();
    const asked = post(`${url}/v1/completions`, { prompt: 'a' }, { signal: controller.signal });
    await until(() => sessionOf().flags.length === 1);
    controller.abort();
    await expect(asked).rejects.toThrow();
    await until(() => sessionOf().flags[0]?.aborted === true);
    await untilRunning(url, 0);
    const metrics = await (await fetch(`${url}/metrics`)).text();
    expect(metrics).toContain('rnd1_requests_total{route="/v1/completions",status="499"} 1\n');
    expect(metrics).not.toContain('route="/v1/completions",status="500"');
  });

  test('gives up its place in the queue', async () => {
    const { url } = await serve({ maxRunning: 1 });
    const held = gate();
    sessionOf().beforeResult = () => held.closed;
    const first = eventsFrom(post(`${url}/v1/denoise`, work(20, 2)));
    await untilRunning(url, 1);
    const controller = new AbortController();
    const waiting = await post(`${url}/v1/denoise`, work(10, 2), { signal: controller.signal });
    controller.abort();
    await waiting.text().catch(() => {});
    held.open();
    await first;
    expect(lengthsOf().flat()).not.toContain(10);
    await untilRunning(url, 0);
  });
});

describe('a client that does not read', () => {
  const long = { max_position_embeddings: 2048 };
  /** Each frame is larger than 100 kB. */
  const large = work(1500, 1400);

  /** Steps that take no time and commit one position. */
  const instantly = (session: ReturnType<typeof sessionOf>) => {
    session.step = async (canvases) => {
      session.batches.push(canvases);
      return canvases.map(({ masked }) => ({
        committed: masked.slice(0, 1),
        predicted: new Int32Array(masked.length).fill(65),
        confidence: new Float32Array(masked.length).fill(-0.5),
        entropy: new Float32Array(masked.length).fill(0.5),
        notFinite: false,
      }));
    };
  };

  test('stops its canvas, and goes on when it reads', async () => {
    const { url } = await serve({}, folderWith({ 'config.json': long }));
    instantly(sessionOf());
    const socket = postUnread(url, '/v1/denoise', large);
    let before = -1;
    while (sessionOf().batches.length !== before) {
      before = sessionOf().batches.length;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(before).toBeGreaterThan(1);
    expect(before).toBeLessThan(700);
    socket.resume();
    await until(() => sessionOf().batches.length > before + 2);
    socket.destroy();
    await untilRunning(url, 0);
  });

  test('is cut off after a while, and its place is free', async () => {
    const { url } = await serve({ stallTimeout: 0.2 }, folderWith({ 'config.json': long }));
    instantly(sessionOf());
    const socket = postUnread(url, '/v1/denoise', large);
    await until(() => sessionOf().batches.length > 0);
    await untilRunning(url, 0);
    socket.destroy();
  });
});
