import { withoutNulls } from '../../../../lib/server/nulls';
import { sessionOf } from '../../diffusion-lm/nano-model';
import { post, type Served, serve } from '../served';

jest.mock('../../../../lib/runtime/binding');

const user = { role: 'user', content: 'a' };
const few = { max_tokens: 2, steps: 1 };

/** Sends requests to one server; returns errors as [status, param, message]. */
function client({ url }: Served) {
  return async (path: string, body: object): Promise<unknown> => {
    const response = await post(url + path, body);
    if (response.status === 200) return 200;
    const { error } = (await response.json()) as { error: { param: string; message: string } };
    return [response.status, error.param, error.message];
  };
}

// The fields of the types of the npm package `openai` 6.49.
const sampling =
  'frequency_penalty logit_bias logprobs max_tokens n presence_penalty seed stop stream stream_options';
const completion = `${sampling} best_of echo suffix temperature top_p user model`.split(' ');
const chat = (
  `${sampling} temperature top_p user model audio function_call functions max_completion_tokens metadata modalities ` +
  'moderation parallel_tool_calls prediction prompt_cache_key prompt_cache_options prompt_cache_retention ' +
  'reasoning_effort response_format safety_identifier service_tier store tool_choice tools top_logprobs verbosity ' +
  'web_search_options'
).split(' ');

describe('null', () => {
  test('is what is not there, in every field of OpenAI’s', async () => {
    const ask = client(await serve());
    const nulls = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, null]));
    const unless = (names: readonly string[], given: object) => names.filter((name) => !(name in given));
    for (const name of unless(chat, few)) {
      const body = { messages: [user], ...few, [name]: null };
      expect([name, await ask('/v1/chat/completions', body)]).toEqual([name, 200]);
    }
    for (const name of unless(completion, few)) {
      expect([name, await ask('/v1/completions', { prompt: 'a', ...few, [name]: null })]).toEqual([
        name,
        200,
      ]);
    }
    expect(await ask('/v1/chat/completions', { ...nulls(chat), messages: [user], ...few })).toBe(200);
    expect(await ask('/v1/completions', { ...nulls(completion), prompt: null, ...few })).toBe(200);
  });

  test('is what is not there inside of fields, and in those of the model’s own routes', async () => {
    const ask = client(await serve());
    const stream_options = { include_usage: null, include_obfuscation: null };
    for (const body of [
      { stream_options },
      { stream_options, stream: true },
      { response_format: { type: 'text', json_schema: null } },
      { schedule: { type: 'blocks', length: 2, schedule: null } },
      { metadata: { a: null } },
      { chat_template_kwargs: { mood: null } },
      { messages: [{ ...user, name: null, tool_calls: null }] },
      { messages: [{ role: 'user', content: [{ type: 'text', text: 'a', refusal: null }] }] },
    ]) {
      expect([body, await ask('/v1/chat/completions', { messages: [user], ...few, ...body })]).toEqual([
        body,
        200,
      ]);
    }
    const own = {
      steps: null,
      schedule: null,
      temperature: null,
      top_p: null,
      top_k: null,
      seed: null,
      model: null,
    };
    const stream = null;
    expect(await ask('/v1/infill', { ...own, stream, prefix: null, suffix: null, length: 2 })).toBe(200);
    const fill = { ...own, stream, text: 'a___', hole: null, tokens_per_hole: null };
    expect(await ask('/v1/fill', fill)).toBe(200);
    const denoise = {
      ...own,
      prompt: null,
      mode: null,
      max_tokens: null,
      text: null,
      prefix: null,
      suffix: null,
    };
    expect(await ask('/v1/denoise', { ...denoise, length: null, tokens: [1, 2], masked: null })).toBe(200);
    expect(await ask('/v1/denoise', { ...denoise, length: 2, tokens: null })).toBe(200);
  });

  test('does not do for what is needed', async () => {
    const ask = client(await serve());
    const missing = (field: string) => [400, field, `${field} is missing`];
    expect(await ask('/v1/chat/completions', { messages: null })).toEqual(missing('messages'));
    expect(await ask('/v1/infill', { length: null })).toEqual(missing('length'));
    expect(await ask('/v1/fill', { text: null })).toEqual(missing('text'));
    const messages = [{ role: 'user', content: null }];
    expect(await ask('/v1/chat/completions', { messages })).toEqual(missing('messages.0.content'));
    const parts = [{ role: 'user', content: [{ type: 'text', text: null }] }];
    expect(await ask('/v1/chat/completions', { messages: parts })).toEqual(
      missing('messages.0.content.0.text'),
    );
    expect(await ask('/v1/completions', {})).toEqual(missing('prompt'));
  });

  test('stays in lists, and where it is data for the template', () => {
    const data = { a: null, b: { c: null } };
    const call = { function: { arguments: { city: null } } };
    const body = {
      stop: [null],
      gone: null,
      chat_template_kwargs: data,
      messages: [{ tool_calls: [call], name: null, content: [{ type: 'text', text: null }] }],
    };
    expect(withoutNulls(body)).toEqual({
      stop: [null],
      chat_template_kwargs: data,
      messages: [{ tool_calls: [call], content: [{ type: 'text' }] }],
    });
    let deep: unknown = null;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    expect(withoutNulls(deep)).toHaveLength(1);
  });
});

test('values that ask for nothing are accepted', async () => {
  const ask = client(await serve());
  for (const fields of [
    { functions: [], function_call: 'none' },
    { function_call: 'auto' },
    { tools: [], tool_choice: 'auto' },
    { tool_choice: 'none', parallel_tool_calls: false },
    { modalities: ['text'] },
    { reasoning_effort: 'medium', verbosity: 'low' },
    { prediction: { type: 'content', content: 'a' } },
    { prompt_cache_key: 'k', prompt_cache_retention: '24h', prompt_cache_options: { mode: 'implicit' } },
    { safety_identifier: 'x', user: 'y', store: false, service_tier: 'auto', metadata: { a: 'b' } },
    { logit_bias: {}, presence_penalty: 0, frequency_penalty: -0.0 },
    { logit_bias: { 5: 0, 6: -0.0 } },
    { response_format: { type: 'text' } },
    { n: 1, top_p: 1, logprobs: false, top_logprobs: 0, stream: false, stream_options: {} },
    { stream_options: { include_usage: false } },
    { stop: [] },
  ]) {
    const body = { messages: [user], ...few, ...fields };
    expect([fields, await ask('/v1/chat/completions', body)]).toEqual([fields, 200]);
  }
  for (const fields of [
    { suffix: '', best_of: 1, echo: false, logprobs: 0 },
    { logit_bias: {}, presence_penalty: 0 },
    { n: 2, best_of: 2, user: '' },
    { prompt: [65, 66] },
    { prompt: [[65], [66]] },
  ]) {
    const body = { prompt: 'a', ...few, ...fields };
    expect([fields, await ask('/v1/completions', body)]).toEqual([fields, 200]);
  }
});

test('an empty stop string stops nothing', async () => {
  const { url } = await serve();
  const whole = async (stop: unknown) => {
    const response = await post(`${url}/v1/completions`, { prompt: 'a', max_tokens: 4, seed: 1, stop });
    const { choices } = (await response.json()) as { choices: unknown[] };
    return choices;
  };
  const without = await whole(null);
  for (const stop of ['', [], [''], ['', 'never']]) expect(await whole(stop)).toEqual(without);
});

test('values that ask for what is not done are refused by name', async () => {
  const ask = client(await serve());
  const inside = (content: unknown) => ({ messages: [{ role: 'user', content }] });
  const refused: [string, object, string][] = [
    ['tools', { tools: [{ type: 'function', function: { name: 'f' } }] }, 'must be an empty list'],
    ['functions', { functions: [{ name: 'f' }] }, 'must be an empty list'],
    ['tool_choice', { tool_choice: 'required' }, "must be 'none' or 'auto', not 'required'"],
    ['tool_choice', { tool_choice: { type: 'function' } }, "must be 'none' or 'auto'"],
    ['function_call', { function_call: { name: 'f' } }, "must be 'none' or 'auto'"],
    ['modalities.1', { modalities: ['text', 'audio'] }, "must be 'text', not 'audio'"],
    ['audio', { audio: { voice: 'ash', format: 'mp3' } }, 'must be null or missing'],
    ['web_search_options', { web_search_options: {} }, 'must be null or missing'],
    ['moderation', { moderation: { model: 'm' } }, 'must be null or missing'],
    ['response_format', { response_format: { type: 'json_object' } }, "must be an object with type 'text'"],
    ['logit_bias', { logit_bias: { 5: 1 } }, 'must be an object, each value 0'],
    ['metadata', { metadata: { a: 1 } }, 'must be an object, each value a string'],
    ['frequency_penalty', { frequency_penalty: 0.1 }, 'must be 0'],
    ['top_logprobs', { logprobs: true, top_logprobs: 5 }, 'must be an integer from 0 to 1'],
    ['reasoning_effort', { reasoning_effort: 'hgih' }, "'high'"],
    ['stop.1', { stop: ['a', 3] }, 'must be a string, not 3'],
    ['messages.0.content.0.type', inside([{ type: 'image_url', image_url: {} }]), "not 'image_url'"],
    [
      'messages.0.content.1.type',
      inside([{ type: 'text', text: 'a' }, { type: 'input_audio' }]),
      "not 'input_audio'",
    ],
    ['messages.0.content', inside(7), 'must be a string or a list'],
    [
      'messages.0.audio',
      { messages: [{ role: 'assistant', audio: { id: 'x' } }, user] },
      'must be null or missing',
    ],
  ];
  for (const [param, fields, message] of refused) {
    const answer = await ask('/v1/chat/completions', { messages: [user], ...few, ...fields });
    expect(answer).toEqual([400, param, expect.stringContaining(`${param} `)]);
    expect(answer).toEqual([400, param, expect.stringContaining(message)]);
  }
  expect(sessionOf().batches).toEqual([]);
});

test('errors quote what a client has sent in short', async () => {
  const served = await serve();
  const long = 'a'.repeat(5000);
  for (const [fields, param] of [
    [{ model: long }, 'model'],
    [{ [long]: 1 }, `${'a'.repeat(199)}…`],
    [{ messages: [{ ...user, [long]: long, role: long }] }, expect.any(String)],
    [{ schedule: long }, 'schedule'],
    [{ logit_bias: { [long]: 1 } }, expect.any(String)],
  ] as const) {
    const response = await post(`${served.url}/v1/chat/completions`, { messages: [user], ...fields });
    expect(response.status).toBeGreaterThanOrEqual(400);
    const { error } = (await response.json()) as { error: { message: string; param: string } };
    expect(error.param).toEqual(param);
    expect(error.message.length).toBeLessThanOrEqual(2000);
  }
});
