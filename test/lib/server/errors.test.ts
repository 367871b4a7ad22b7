import { setTimeout as wait } from 'node:timers/promises';
import { sessionOf } from '../diffusion-lm/nano-model';
import { eventsOf, log, post, serve, until } from './served';

jest.mock('../../../lib/runtime/binding');

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
        'messages must end with a message of the user',
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
