import { Writable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { sessionOf } from '../lib/nano-model';
import { eventsOf, gate, post, serve, until } from './served';

jest.mock('../../lib/binding');

const denoise = { tokens: [1, 2, 3, 4], masked: [1, 2], seed: 1 };

describe('what is wrong with a request', () => {
  test('is told in the shape and with the status that clients expect', async () => {
    const { url } = await serve({ maxBodyBytes: 1000, maxCanvasTokens: 100 });
    const text = expect.any(String);
    const ask = async (path: string, body: unknown, headers?: Record<string, string>) => {
      const response = await post(url + path, body, { headers });
      const { error } = (await response.json()) as { error: Record<string, unknown> };
      expect(Object.keys(error).sort()).toEqual(['code', 'message', 'param', 'type']);
      expect(response.headers.get('x-request-id')).toMatch(/^[\w-]+$/);
      return [response.status, error.code, error.param, error.message];
    };
    const chat = (fields: object) =>
      ask('/v1/chat/completions', { messages: [{ role: 'user', content: 'a' }], ...fields });
    const complete = (fields: object) => ask('/v1/completions', { prompt: 'a', ...fields });
    expect(await ask('/v1/nothing', {})).toEqual([404, 'not_found', null, 'there is no POST /v1/nothing']);
    expect(await ask('/completions', {})).toEqual([
      404,
      'not_found',
      null,
      'there is no POST /completions, but /v1/completions',
    ]);
    expect(await complete({ model: 'gpt-4' })).toEqual([
      404,
      'model_not_found',
      'model',
      "there is no model 'gpt-4' here, but 'nano'",
    ]);
    expect(await ask('/v1/completions', '{"prompt"')).toEqual([400, 'invalid_json', null, text]);
    expect(await ask('/v1/completions', 'a', { 'content-type': 'text/plain' })).toEqual([
      415,
      'unsupported_media_type',
      null,
      expect.stringContaining('send application/json'),
    ]);
    expect(await complete({ prompt: 'a'.repeat(1000) })).toEqual([413, 'body_too_large', null, text]);
    expect(await complete({ max_tokens: 120 })).toEqual([
      400,
      'context_length_exceeded',
      null,
      'the canvas would have 122 tokens, but this server takes 100',
    ]);
    expect(await complete({ max_tokens: 1200 })).toEqual([
      400,
      'context_length_exceeded',
      null,
      expect.stringMatching(/^the canvas would have \d+ tokens, but the model attends to \d+$/),
    ]);
    expect(await ask('/v1/completions', {})).toEqual([400, 'missing_field', 'prompt', 'prompt is missing']);
    expect(await ask('/v1/completions', [])).toEqual([400, 'invalid_value', null, text]);
    expect(await complete({ temprature: 1 })).toEqual([
      400,
      'unknown_field',
      'temprature',
      "there is no field 'temprature'; did you mean 'temperature'?",
    ]);
    const wrong: [() => Promise<unknown[]>, string, string][] = [
      [
        () => complete({ temperature: -1 }),
        'temperature',
        'temperature must be a number of at least 0, not -1',
      ],
      [
        () => complete({ temperature: '1' }),
        'temperature',
        "temperature must be a number of at least 0, not '1'",
      ],
      [() => complete({ top_p: 2 }), 'top_p', 'top_p must be a number from 0 to 1, not 2'],
      [() => complete({ prompt: 7 }), 'prompt', 'prompt must be a string, a list, each a string'],
      [
        () => complete({ prompt: [999] }),
        'prompt',
        'prompt[0] is 999, but token ids are the integers from 0 to 263',
      ],
      [() => complete({ schedule: 'sudden' }), 'schedule', "schedule must be one of 'entropy', 'confidence'"],
      [
        () => complete({ schedule: { type: 'threshold', tau: 2 } }),
        'schedule',
        'schedule.tau must be a finite number',
      ],
      [() => complete({ seed: '99999999999999999999' }), 'seed', 'seed must fit 64 bits'],
      [() => complete({ best_of: 3 }), 'best_of', 'best_of must equal n (1), not 3'],
      [() => complete({ logprobs: 5 }), 'logprobs', 'logprobs must be an integer from 0 to 1, not 5'],
      [() => complete({ echo: true, logprobs: 1 }), 'logprobs', 'logprobs and echo exclude each other'],
      [() => complete({ prompt: [1], suffix: 'b' }), 'suffix', 'suffix needs a prompt of text'],
      [
        () => complete({ stream_options: { include_usage: true } }),
        'stream_options',
        'stream_options goes with stream',
      ],
      [() => chat({ n: 0 }), 'n', 'n must be an integer from 1 to 128, not 0'],
      [() => chat({ presence_penalty: 1 }), 'presence_penalty', 'presence_penalty must be 0, not 1'],
      [() => chat({ logit_bias: { 5: 1 } }), 'logit_bias', 'logit_bias must be an object, each value 0'],
      [() => chat({ tools: [{}] }), 'tools', 'tools must be an empty list'],
      [
        () => chat({ response_format: { type: 'json_object' } }),
        'response_format',
        "response_format must be an object with type 'text'",
      ],
      [() => chat({ messages: [] }), 'messages', 'messages must not be empty'],
      [
        () => chat({ messages: [{ role: 'wizard', content: '' }] }),
        'messages.0.role',
        "messages.0.role must be 'system', 'developer', 'user', 'assistant', 'tool' or 'function', not 'wizard'",
      ],
      [
        () => chat({ messages: [{ role: 'assistant', content: 'a' }] }),
        'messages',
        'the last message must be',
      ],
      [() => chat({ top_logprobs: 1 }), 'top_logprobs', 'top_logprobs needs logprobs: true'],
      [
        () => chat({ max_tokens: 1, max_completion_tokens: 2 }),
        'max_tokens',
        'max_tokens and max_completion_tokens',
      ],
      [() => ask('/v1/infill', { length: 0 }), 'length', 'length must be an integer of at least 1, not 0'],
      [() => ask('/v1/fill', { text: 'a', hole: '' }), 'hole', 'hole must be a string that is not empty'],
      [() => ask('/v1/fill', { text: 'a' }), '', "the template has no hole '___': 'a'"],
      [() => ask('/v1/denoise', {}), '', 'one of prompt, text, length, tokens is needed, and none is given'],
      [() => ask('/v1/denoise', { prompt: 'a', text: '___' }), 'text', 'not prompt and text together'],
      [() => ask('/v1/denoise', { prompt: 'a', hole: '_' }), 'hole', 'hole goes with text, not with prompt'],
      [() => ask('/v1/denoise', { tokens: [1], masked: [4] }), 'masked', 'masked[0] is 4'],
    ];
    for (const [answer, param, message] of wrong) {
      expect(await answer()).toEqual([400, 'invalid_value', param || null, expect.stringContaining(message)]);
    }
    expect(await chat({ n: 128 })).toEqual([400, 'too_many_canvases', null, text]);
    expect(sessionOf().batches).toEqual([]);
  });

  test('a failure of the model is one of the server, inside a stream too', async () => {
    const { url } = await serve();
    sessionOf().alter = (result) => ({ ...result, notFinite: true });
    const whole = await post(`${url}/v1/completions`, { prompt: 'a' });
    expect(whole.status).toBe(500);
    expect(await whole.json()).toMatchObject({ error: { type: 'server_error', code: 'not_finite' } });
    const stream = await post(`${url}/v1/completions`, { prompt: 'a', stream: true });
    expect(stream.status).toBe(200);
    expect(eventsOf(await stream.text()).at(-1)).toMatchObject({ data: { error: { code: 'not_finite' } } });
    const frames = await post(`${url}/v1/denoise`, denoise);
    expect(eventsOf(await frames.text()).map(({ name }) => name)).toEqual(['start', 'error']);
  });

  test('what went wrong inside is in the log alone', async () => {
    const { lines, logger } = log();
    const { url } = await serve({ logger });
    sessionOf().beforeResult = () => {
      throw new Error('secret');
    };
    const response = await post(`${url}/v1/completions`, { prompt: 'a' });
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain('secret');
    expect(lines().join('')).toContain('secret');
  });
});

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
    // Before the body is looked at.
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
    // Its stream begins at once, though it waits.
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

/** A logger's options, and the lines that it has written. */
function log() {
  let text = '';
  const stream = new Writable({
    write(chunk, _, done) {
      text += chunk;
      done();
    },
  });
  const lines = () => text.split('\n').filter((line) => line !== '');
  return { lines, entries: () => lines().map((line) => JSON.parse(line)), logger: { level: 'info', stream } };
}

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
    // What is no id is not taken over.
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
});

/** Metrics without labels, by name. */
async function metricsOf(url: string) {
  const response = await fetch(`${url}/metrics`);
  const text = await response.text();
  const samples = [...text.matchAll(/^(\w+) (\S+)$/gm)].map(([, name, value]) => [name, Number(value)]);
  return { response, text, metrics: Object.fromEntries(samples) as Record<string, number> };
}

test('a path or method that no route takes is told so, whatever comes with it', async () => {
  const { url } = await serve({ apiKeys: ['key'], maxBodyBytes: 100 });
  const types = ['application/json', 'text/plain', 'multipart/form-data; boundary=x'];
  const bodies = [undefined, '', '{', 'a'.repeat(10_000)];
  const ask = async (method: string, path: string, key: string) => {
    const statuses = new Set<string>();
    for (const type of types) {
      for (const body of bodies) {
        const headers = { 'content-type': type, authorization: `Bearer ${key}` };
        const { status, headers: got } = await fetch(url + path, { method, headers, body });
        statuses.add(`${status} ${got.get('allow')}`);
      }
    }
    return [...statuses];
  };
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
    expect([method, await ask(method, '/v1/audio/transcriptions', 'key')]).toEqual([method, ['404 null']]);
    expect([method, await ask(method, '/v1/models/nano', 'key')]).toEqual([method, ['405 GET, HEAD']]);
  }
  expect(await ask('PUT', '/v1/chat/completions', 'key')).toEqual(['405 POST']);
  expect(await ask('PUT', '/v1/chat/completions', 'wrong')).toEqual(['401 null']);
});

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

test('a client that goes away is no error, in a stream or before it', async () => {
  const { entries, logger } = log();
  const { url } = await serve({ logger });
  let steps = 0;
  sessionOf().beforeResult = () => wait(2 + (steps++ % 7));
  for (let i = 0; i < 30; i++) {
    const body =
      i % 2 ? { prompt: 'a', stream: true, max_tokens: 30 } : { length: 30, prefix: 'a', stream: true };
    const signal = AbortSignal.timeout(1 + i);
    const answer = post(url + (i % 2 ? '/v1/completions' : '/v1/infill'), body, { signal });
    await answer.then((response) => response.text()).catch(() => {});
  }
  await until(() => entries().filter(({ msg }) => msg === 'the client went away').length > 5);
  expect(entries().filter(({ level }) => level > 30)).toEqual([]);
});
