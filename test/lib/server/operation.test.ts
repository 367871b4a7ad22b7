import { sessionOf } from '../diffusion-lm/nano-model';
import { eventsOf, gate, log, post, serve, until } from './served';

jest.mock('../../../lib/runtime/binding');

const denoise = { tokens: [1, 2, 3, 4], masked: [1, 2], seed: 1 };

describe('API keys', () => {
  test('that no header can carry are refused, without being shown', async () => {
    const refusal = serve({ apiKeys: ['fine', 'se cret'] });
    await expect(refusal).rejects.toThrow(/^apiKeys\[1\] must consist of ASCII .* without spaces$/);
  });

  const bearer = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });

  test('are asked for by everything but the page, the document and the signs of life', async () => {
    const { url } = await serve({ apiKeys: ['one', 'another'] });
    for (const path of ['/v1/models', '/metrics', '/nothing']) {
      const refused = await fetch(url + path);
      expect(refused.status).toBe(401);
      expect(refused.headers.get('www-authenticate')).toBe('Bearer');
      expect(await refused.json()).toMatchObject({
        error: { type: 'authentication_error', code: 'invalid_api_key' },
      });
    }
    for (const path of ['/healthz', '/readyz', '/openapi.json'])
      expect((await fetch(url + path)).status).toBe(200);
    for (const key of ['One', 'on', 'onee', 'one,another', '']) {
      expect((await fetch(`${url}/v1/models`, bearer(key))).status).toBe(401);
    }
    for (const key of ['one', 'another'])
      expect((await fetch(`${url}/v1/models`, bearer(key))).status).toBe(200);
    // Before the body is parsed.
    expect((await post(`${url}/v1/completions`, '{')).status).toBe(401);
    const document = (await (await fetch(`${url}/openapi.json`)).json()) as Record<string, unknown>;
    expect(document.security).toEqual([{ key: [] }]);
  });
});

describe('pages of other origins', () => {
  const preflight = (url: string, origin: string) =>
    fetch(`${url}/v1/completions`, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type',
      },
    });
  const allowed = ({ headers }: Response) => headers.get('access-control-allow-origin');

  test('may not ask unless that is asked for', async () => {
    const { url } = await serve();
    const refused = await preflight(url, 'https://a.example');
    expect(refused.status).toBe(403);
    expect(allowed(refused)).toBeNull();
    expect(allowed(await fetch(`${url}/v1/models`, { headers: { origin: 'https://a.example' } }))).toBeNull();
  });

  test('may ask where they are named, without a key for the question itself', async () => {
    const { url } = await serve({ corsOrigins: ['https://a.example'], apiKeys: ['k'] });
    const answer = await preflight(url, 'https://a.example');
    expect(answer.status).toBe(204);
    expect(allowed(answer)).toBe('https://a.example');
    expect(allowed(await preflight(url, 'https://b.example'))).toBeNull();
    expect((await fetch(`${url}/v1/models`, { headers: { origin: 'https://a.example' } })).status).toBe(401);
  });
});

describe('limits', () => {
  test('a full queue answers 429, with the time to come again', async () => {
    const { url } = await serve({ maxRunning: 1, maxQueued: 1, maxPerClient: 10 });
    const held = gate();
    sessionOf().beforeResult = () => held.closed;
    const first = post(`${url}/v1/denoise`, denoise).then((response) => response.text());
    await until(() => sessionOf().batches.length === 1);
    // Its stream starts immediately, although the canvas waits.
    const second = await post(`${url}/v1/denoise`, denoise);
    for (const [path, body] of [
      ['/v1/denoise', denoise],
      ['/v1/completions', { prompt: 'a' }],
      ['/v1/chat/completions', { messages: [{ role: 'user', content: 'a' }], stream: true }],
      ['/v1/fill', { text: '___' }],
    ] as const) {
      const refused = await post(url + path, body);
      expect(refused.status).toBe(429);
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(await refused.json()).toMatchObject({ error: { type: 'rate_limit_error', code: 'queue_full' } });
    }
    const { metrics } = await metricsOf(url);
    expect(metrics).toMatchObject({ rnd1_running_canvases: 1, rnd1_queued_canvases: 1, rnd1_queue_limit: 1 });
    held.open();
    await Promise.all([first, second.text()]);
    expect((await post(`${url}/v1/fill`, { text: 'a___' })).status).toBe(200);
  });

  test('an answer that takes too long is ended', async () => {
    const { url } = await serve({ requestTimeout: 0.05 });
    sessionOf().beforeResult = () => gate().closed;
    const whole = await post(`${url}/v1/completions`, { prompt: 'a' });
    expect(whole.status).toBe(504);
    expect(await whole.json()).toMatchObject({ error: { code: 'timeout', type: 'server_error' } });
    const stream = await post(`${url}/v1/denoise`, denoise);
    expect(eventsOf(await stream.text()).at(-1)).toMatchObject({
      name: 'error',
      data: { error: { code: 'timeout' } },
    });
    await until(() => sessionOf().flags.every(({ aborted }) => aborted));
  });
});

describe('logs', () => {
  const ask = async (url: string) => {
    const headers = { 'x-request-id': 'mine-1' };
    const response = await post(
      `${url}/v1/completions?key=private`,
      { prompt: 'sesame', max_tokens: 2 },
      { headers },
    );
    expect(response.headers.get('x-request-id')).toBe('mine-1');
    await response.text();
    await post(
      `${url}/v1/denoise`,
      { prompt: 'sesame', max_tokens: 2 },
      { headers: { 'x-request-id': 'a b' } },
    ).then((r) => r.text());
  };

  test('are a JSON object a line, with the id of the request and without its text', async () => {
    const { entries, lines, logger } = log();
    const { url } = await serve({ logger });
    await ask(url);
    await until(() => entries().filter(({ msg }) => msg === 'request').length === 2);
    const requests = entries().filter(({ msg }) => msg === 'request');
    expect(requests[0]).toMatchObject({
      id: 'mine-1',
      method: 'POST',
      path: '/v1/completions',
      status: 200,
      seconds: expect.any(Number),
    });
    // An invalid id is not used.
    expect(requests[1].id).toMatch(/^[0-9a-f-]{36}$/);
    expect(lines().join('\n')).not.toMatch(/sesame|private/);
  });

  test('hold prompts and answers where that is asked for', async () => {
    const { entries, logger } = log();
    const { url } = await serve({ logger, logPrompts: true });
    await ask(url);
    const answers = entries().filter(({ msg }) => msg === 'answer');
    expect(answers).toHaveLength(2);
    expect(answers[0]).toMatchObject({ id: 'mine-1', prompts: ['sesame'], answers: [expect.any(String)] });
  });

  test.each([
    ['/v1/denoise', { prompt: 'sesame', max_tokens: 2 }, ['sesame'], 1],
    ['/v1/denoise', { text: 'a_b', hole: '_' }, ['a_b'], 1],
    ['/v1/denoise', { length: 2, suffix: 'b' }, ['b'], 1],
    ['/v1/denoise', denoise, [], 0],
    ['/v1/fill', { text: 'a_b_', hole: '_' }, ['a_b_'], 2],
    ['/v1/fill', { text: 'a_b_', hole: '_', stream: true }, ['a_b_'], 2],
    ['/v1/infill', { prefix: 'a', suffix: 'b', length: 2 }, ['a', 'b'], 1],
  ])('of %s with %j are %j', async (path, body, prompts, written) => {
    const { entries, logger } = log();
    const { url } = await serve({ logger, logPrompts: true });
    await (await post(url + path, { ...body, seed: 1 })).text();
    const answers = Array(written).fill(expect.any(String));
    expect(entries().filter(({ msg }) => msg === 'answer')).toMatchObject([{ prompts, answers }]);
  });
});

/** Metrics without labels, by name. */
async function metricsOf(url: string) {
  const response = await fetch(`${url}/metrics`);
  const text = await response.text();
  const samples = [...text.matchAll(/^(\w+) (\S+)$/gm)].map(([, name, value]) => [name, Number(value)]);
  return { response, text, metrics: Object.fromEntries(samples) as Record<string, number> };
}

test('metrics count requests, tokens, steps and rows', async () => {
  const { url } = await serve();
  await (await post(`${url}/v1/denoise`, { ...denoise, steps: 2 })).text();
  await (await post(`${url}/v1/denoise`, {})).text();
  await until(async () => (await metricsOf(url)).text.includes('status="400"'));
  const { response, text, metrics } = await metricsOf(url);
  expect(response.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/);
  expect(metrics).toMatchObject({
    rnd1_running_canvases: 0,
    rnd1_queued_canvases: 0,
    rnd1_step_seconds_count: 2,
    rnd1_step_rows_sum: 8,
    rnd1_step_canvases_sum: 2,
    rnd1_committed_tokens_total: 2,
    rnd1_steps_per_token_sum: 1,
    rnd1_steps_per_token_count: 1,
  });
  expect(text).toContain('rnd1_tokens_total{kind="prompt"} 2\n');
  expect(text).toContain('rnd1_tokens_total{kind="completion"} 2\n');
  expect(text).toContain('rnd1_requests_total{route="/v1/denoise",status="200"} 1\n');
  expect(text).toContain('rnd1_requests_total{route="/v1/denoise",status="400"} 1\n');
});

describe('closing', () => {
  test('lets running requests end, and takes no new ones', async () => {
    const { url, server } = await serve({ shutdownTimeout: 30 });
    const held = gate();
    sessionOf().beforeResult = () => held.closed;
    const stream = post(`${url}/v1/denoise`, denoise).then((response) => response.text());
    const whole = post(`${url}/v1/completions`, { prompt: 'a' });
    await until(() => sessionOf().batches.length === 1);
    await until(async () => (await metricsOf(url)).metrics.rnd1_running_canvases === 2);
    let closed = false;
    const closing = server.close().then(() => {
      closed = true;
    });
    await expect(fetch(`${url}/readyz`).then(({ status }) => status))
      .resolves.toBe(503)
      .catch(() => {});
    expect(closed).toBe(false);
    held.open();
    expect(eventsOf(await stream).at(-1)?.name).toBe('end');
    expect((await whole).status).toBe(200);
    await closing;
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });

  test('ends what still runs when its time is over', async () => {
    const { url, server } = await serve({ shutdownTimeout: 0.05 });
    sessionOf().beforeResult = () => gate().closed;
    const stream = post(`${url}/v1/denoise`, denoise).then((response) => response.text());
    const whole = post(`${url}/v1/completions`, { prompt: 'a' });
    await until(async () => (await metricsOf(url)).metrics.rnd1_running_canvases === 2);
    await server.close();
    expect(eventsOf(await stream).at(-1)).toMatchObject({
      name: 'error',
      data: { error: { code: 'shutting_down' } },
    });
    expect((await whole).status).toBe(503);
  });
});
