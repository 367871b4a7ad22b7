import type { Outcome } from '../../../lib/batch/outcome';
import type { BatchRequest, BatchUrl } from '../../../lib/batch/request';
import { lineAnswers } from '../../../lib/server/batch-lines';
import { sessionOf } from '../diffusion-lm/nano-model';
import { gate, log, post, serve, until } from './served';

jest.mock('../../../lib/runtime/binding');

const never = new AbortController().signal;
const id = '0123456789abcdef01234567';
const requestOf = (url: BatchUrl, body: object): BatchRequest => ({
  line: 1,
  customId: 'a',
  url,
  body: body as Record<string, unknown>,
  key: Buffer.alloc(32, 1),
  id,
});
const seed = 0x010101010101;
const responseOf = (outcome: Outcome) =>
  (outcome as Extract<Outcome, { response: unknown }>).response as {
    status: number;
    requestId: string;
    // biome-ignore lint/suspicious/noExplicitAny: matchers check the body
    body: any;
  };

const few = { max_tokens: 4, steps: 2 };
const bodies: readonly (readonly [BatchUrl, object])[] = [
  ['/v1/chat/completions', { messages: [{ role: 'user', content: 'a' }], logprobs: true, n: 2, ...few }],
  ['/v1/completions', { prompt: ['a', 'b'], temperature: 1, seed: null, ...few }],
  ['/v1/infill', { prefix: 'a', suffix: 'b', length: 3 }],
  ['/v1/fill', { text: 'a ___' }],
];

test.each(bodies)(
  'a line to %s gets what a request gets, with a seed and without a time',
  async (url, body) => {
    const served = await serve();
    const {
      status,
      requestId,
      body: answer,
    } = responseOf(await lineAnswers(served.server.app, '')(requestOf(url, body), never));
    const init = { headers: { 'x-request-id': id } };
    const asked = (await (await post(served.url + url, { ...body, seed }, init)).json()) as object;
    expect({ status, requestId }).toEqual({ status: 200, requestId: id });
    expect(answer).toEqual('created' in asked ? { ...asked, created: 0 } : asked);
    expect(answer.seed).toBe(seed);
    const own = responseOf(
      await lineAnswers(served.server.app, '')(requestOf(url, { ...body, seed: '7' }), never),
    );
    expect(own.body.seed).toBe(7);
  },
);

test('errors are outcomes, like those of requests', async () => {
  const { server } = await serve({ maxRunning: 2, maxPerClient: 2 });
  const answer = lineAnswers(server.app, '');
  const error = async (url: BatchUrl, body: object) => {
    const { status, body: answered } = responseOf(await answer(requestOf(url, body), never));
    return [status, answered.error.code, answered.error.param];
  };
  expect(await error('/v1/completions', { prompt: 'a', nonsense: 1 })).toEqual([
    400,
    'unknown_field',
    'nonsense',
  ]);
  expect(await error('/v1/completions', { prompt: 'a', model: 'gpt-4' })).toEqual([
    404,
    'model_not_found',
    'model',
  ]);
  expect(await error('/v1/completions', { prompt: 'a', n: 3 })).toEqual([400, 'too_many_canvases', null]);
  expect(await error('/v1/completions', { prompt: 'a', stream: true })).toEqual([
    400,
    'invalid_value',
    'stream',
  ]);
  const proto = JSON.parse('{"prompt": "a", "__proto__": {}}');
  expect(await error('/v1/completions', proto)).toEqual([400, 'invalid_json', null]);
  const nested = (depth: number) => JSON.parse(`{"prompt": ${'['.repeat(depth)}${']'.repeat(depth)}}`);
  for (const depth of [200, 200_000])
    expect(await error('/v1/completions', nested(depth))).toEqual([400, 'invalid_value', null]);
});

test('lines need no key, are logged as answered, and a client has no more of them than of requests', async () => {
  const { entries, logger } = log();
  const { server, url } = await serve({ apiKeys: ['key'], logger });
  const answer = lineAnswers(server.app, 'key 0');
  const body = { prompt: 'a', ...few };
  expect(responseOf(await answer(requestOf('/v1/completions', body), never)).status).toBe(200);
  expect(entries()).toContainEqual(expect.objectContaining({ msg: 'request', id, status: 200 }));
  const metrics = await (await fetch(`${url}/metrics`, { headers: { authorization: 'Bearer key' } })).text();
  expect(metrics).toContain('rnd1_requests_total{route="/v1/completions",status="200"} 1');
  // Only lines of a batch: not everything that is injected.
  const injected = await server.app.inject({ method: 'POST', url: '/v1/completions', payload: body });
  expect(injected.statusCode).toBe(401);
});

test('an aborted line frees its place and takes part in no further step', async () => {
  const { server } = await serve({ maxRunning: 1 });
  const held = gate();
  sessionOf().beforeResult = () => held.closed;
  const controller = new AbortController();
  const answer = lineAnswers(server.app, '');
  const body = { prompt: 'a', max_tokens: 8, steps: 8 };
  const answering = answer(requestOf('/v1/completions', body), controller.signal);
  await until(() => sessionOf().batches.length === 1);
  const reason = new Error('enough');
  controller.abort(reason);
  await expect(answering).rejects.toBe(reason);
  held.open();
  expect(responseOf(await answer(requestOf('/v1/completions', body), never)).status).toBe(200);
  expect(sessionOf().batches.length).toBe(9);
});
