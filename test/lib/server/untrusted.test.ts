import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nano } from '../diffusion-lm/nano-model';
import { folderWith, post, type Served, serve, until } from './served';

jest.mock('../../../lib/runtime/binding');

const definition = JSON.parse(readFileSync(join(nano, 'tokenizer.json'), 'utf8'));
const split = { type: 'Split', pattern: { Regex: '^(a+)+$' }, behavior: 'Isolated', invert: false };
const hostileTokenizer = {
  'tokenizer.json': { pre_tokenizer: { type: 'Sequence', pretokenizers: [split, definition.pre_tokenizer] } },
};
const endless = `${'a'.repeat(60)}!`;
const user = (content: string) => ({ messages: [{ role: 'user', content }], max_tokens: 1 });

/** The response to a request, and whether others were answered meanwhile. */
async function answerOf({ url }: Served, path: string, body: object) {
  let done = false;
  const answer = post(`${url}${path}`, body).finally(() => {
    done = true;
  });
  let healthy = 0;
  while (!done) healthy += (await fetch(`${url}/healthz`)).ok ? 1 : 0;
  const response = await answer;
  const { error } = (await response.json()) as { error: Record<string, unknown> };
  return { status: response.status, error, healthy };
}

const lostThreads = async ({ url }: Served) =>
  [
    ...(await (await fetch(`${url}/metrics`)).text()).matchAll(/^rnd1_lost_threads_total\{(.*)\} (\d+)$/gm),
  ].map(([, labels, count]) => `${labels} ${count}`);

test('texts that a tokenizer takes for ever for get an error, and others their answers', async () => {
  const served = await serve({}, folderWith(hostileTokenizer), undefined, { promptTimeout: 1 });
  const requests: [string, object][] = [
    ['/v1/completions', { prompt: endless, max_tokens: 1 }],
    ['/v1/completions', { prompt: ['b', endless], max_tokens: 1 }],
    ['/v1/completions', { prompt: 'b', suffix: endless, max_tokens: 1 }],
    ['/v1/infill', { prefix: endless, length: 1 }],
    ['/v1/fill', { text: `${endless}___` }],
    ['/v1/denoise', { prompt: endless, mode: 'completion', max_tokens: 1 }],
  ];
  for (const [path, body] of requests) {
    const { status, error, healthy } = await answerOf(served, path, body);
    expect({ path, status, code: error.code }).toEqual({ path, status: 400, code: 'prompt_too_expensive' });
    expect(error.message).toContain('took more than 1 s');
    expect(healthy).toBeGreaterThan(3);
  }
  expect(await lostThreads(served)).toEqual([`thread="tokenizer",reason="time" ${requests.length}`]);
  const fine = await post(`${served.url}/v1/completions`, { prompt: 'b', max_tokens: 1 });
  expect(fine.status).toBe(200);
});

test.each([
  ['loops for ever', '{% for i in range(1000000000) %}x{% endfor %}'],
  ['loops in loops', '{% for i in range(30000) %}{% for j in range(30000) %}{% endfor %}{% endfor %}'],
  [
    'doubles a text',
    "{% set n = namespace(s='x') %}{% for i in range(99) %}{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}",
  ],
])('a template that %s gets an error, and others their answers', async (_, template) => {
  const served = await serve({}, folderWith({ 'chat_template.jinja': template }), undefined, {
    promptTimeout: 1,
  });
  for (let i = 0; i < 2; i++) {
    const { status, error } = await answerOf(served, '/v1/chat/completions', user('hi'));
    expect(status).toBe(400);
    expect(error).toMatchObject({ code: 'chat_template_failed', param: 'messages' });
  }
  const fine = await post(`${served.url}/v1/completions`, { prompt: 'b', max_tokens: 1 });
  expect(fine.status).toBe(200);
});

test('a text that cannot fit does not become tokens at all', async () => {
  const served = await serve();
  const encode = jest.spyOn(served.model.textWorkers, 'encode');
  const { maxPositions } = served.model.config.architecture;
  const long = 'a'.repeat(maxPositions * '<|endoftext|>'.length + 1);
  for (const [path, body] of [
    ['/v1/completions', { prompt: long, max_tokens: 1 }],
    ['/v1/completions', { prompt: Array.from({ length: maxPositions + 1 }, () => 1), max_tokens: 1 }],
    ['/v1/chat/completions', user(long)],
    ['/v1/infill', { suffix: long, length: 1 }],
    ['/v1/fill', { text: [long, { length: 1 }] }],
    ['/v1/denoise', { prompt: long }],
  ] as const) {
    const { status, error } = await answerOf(served, path, body);
    expect(status).toBe(400);
    expect({ path, code: error.code }).toEqual({ path, code: 'context_length_exceeded' });
  }
  expect(encode).not.toHaveBeenCalled();
  const many = { prompt: Array.from({ length: 10_000 }, () => 'a'), max_tokens: 1 };
  expect((await answerOf(served, '/v1/completions', many)).error.code).toBe('too_many_canvases');
  expect(encode).not.toHaveBeenCalled();
});

test('n answers to one prompt make tokens of it once', async () => {
  const served = await serve();
  const asked: number[] = [];
  const { encode } = served.model.textWorkers;
  jest.spyOn(served.model.textWorkers, 'encode').mockImplementation(function (this: never, texts, signal) {
    const reply = encode.call(served.model.textWorkers, texts, signal);
    asked.push(served.model.textWorkers.pending);
    return reply;
  });
  await post(`${served.url}/v1/completions`, { prompt: 'abc', n: 4, max_tokens: 1 });
  expect(asked).toEqual([1, 0, 0, 0]);
});

test('no more prompts wait to become tokens than canvases may wait', async () => {
  const served = await serve({ maxQueued: 1 }, folderWith(hostileTokenizer), undefined, {
    promptTimeout: 60,
  });
  const ask = (signal?: AbortSignal) =>
    post(`${served.url}/v1/completions`, { prompt: endless, max_tokens: 1 }, { signal });
  const controller = new AbortController();
  const waiting = Promise.allSettled([ask(controller.signal), ask(controller.signal)]);
  await until(() => served.model.textWorkers.pending === 2);
  const refused = await ask();
  expect(refused.status).toBe(429);
  expect(refused.headers.get('retry-after')).toBe('1');
  expect(((await refused.json()) as { error: object }).error).toMatchObject({ code: 'queue_full' });
  controller.abort();
  await waiting;
  // The one that has started runs until its limit; the other one is dropped.
  await until(() => served.model.textWorkers.pending === 1);
});

test('a server that closes, and a model that goes, do not wait for them', async () => {
  const served = await serve({}, folderWith(hostileTokenizer), undefined, { promptTimeout: 60 });
  const answer = answerOf(served, '/v1/completions', { prompt: endless, max_tokens: 1 }).catch(() => null);
  await until(() => served.model.textWorkers.pending === 1);
  await served.server.close();
  await served.model.dispose();
  await answer;
  expect(served.model.textWorkers.pending).toBe(0);
});
