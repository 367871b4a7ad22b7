import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import fastify from 'fastify';
import { post, serve } from './served';

jest.mock('../../../lib/runtime/binding');

const user = { role: 'user', content: 'a' };

interface Operation {
  readonly operationId: string;
  readonly responses: Readonly<Record<string, { readonly content?: object }>>;
}
interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

const read = async (url: string) => (await fetch(`${url}/openapi.json`)).text();

let batchFolder = '';
beforeAll(() => {
  batchFolder = mkdtempSync(join(tmpdir(), 'rnd1-openapi-'));
});
afterAll(() => rmSync(batchFolder, { recursive: true }));

test.each([[[]], [['key']]])('the document passes a linter without a word, with keys %j', async (apiKeys) => {
  const { url } = await serve({ apiKeys, batchFolder });
  const config = await createConfig({ extends: ['recommended'] });
  const problems = await lintFromString({ source: await read(url), absoluteRef: 'openapi.json', config });
  expect(problems.map(({ ruleId, message }) => `${ruleId}: ${message}`)).toEqual([]);
});

test('every status that a client gets is in the document', async () => {
  const { url } = await serve({ apiKeys: ['key'], maxBodyBytes: 1000 });
  const { paths } = JSON.parse(await read(url)) as Document;
  const headers = { authorization: 'Bearer key' };
  const bodies: readonly (readonly [body: unknown, status: number, headers?: Record<string, string>])[] = [
    ['{', 400],
    [{ nothing: 1 }, 400],
    ['a', 415, { 'content-type': 'text/plain' }],
    ['a'.repeat(1001), 413],
    [{}, 401, { authorization: '' }],
  ];
  for (const [path, { post: operation, get }] of Object.entries(paths)) {
    if (get !== undefined) {
      const known = path.replace('{model}', 'nano');
      const { status } = await fetch(url + known, { headers });
      expect([path, status]).toEqual([path, 200]);
      expect(Object.keys(get.responses)).toContain('200');
      if (path === '/healthz' || path === '/readyz') continue;
      expect((await fetch(url + known)).status).toBe(401);
      expect(Object.keys(get.responses)).toContain('401');
    }
    if (operation === undefined) continue;
    for (const [body, expected, more] of bodies) {
      const { status } = await post(url + path, body, { headers: { ...headers, ...more } });
      expect([path, status]).toEqual([path, expected]);
      expect(Object.keys(operation.responses)).toContain(String(status));
    }
  }
  const model = 'gpt-4';
  for (const [path, body] of Object.entries({
    '/v1/chat/completions': { messages: [{ role: 'user', content: 'a' }] },
    '/v1/completions': { prompt: 'a' },
    '/v1/infill': { length: 1 },
    '/v1/fill': { text: '___' },
    '/v1/denoise': { prompt: 'a' },
  })) {
    expect((await post(url + path, { model, ...body }, { headers })).status).toBe(404);
    expect(Object.keys(paths[path]?.post?.responses ?? {})).toContain('404');
  }
});

test('every status that a client of files and batches gets is in the document', async () => {
  const { url } = await serve({ apiKeys: ['key'], maxFileBytes: 100, maxFolderBytes: 1, batchFolder });
  const { paths } = JSON.parse(await read(url)) as Document;
  const authorization = 'Bearer key';
  const json = { 'content-type': 'application/json' };
  const form = (bytes: number) => {
    const body = new FormData();
    body.append('purpose', 'batch');
    body.append('file', new Blob(['a'.repeat(bytes)]), 'a');
    return { body };
  };
  const batch = { endpoint: '/v1/fill', completion_window: '24h' };
  for (const [method, path, init, status] of [
    ['get', '/v1/files', {}, 200],
    ['get', '/v1/files?limit=0', {}, 400],
    ['get', '/v1/files?order=up', {}, 400],
    ['get', '/v1/files', { headers: {} }, 401],
    ['post', '/v1/files', form(10), 403],
    ['post', '/v1/files', form(101), 413],
    ['post', '/v1/files', { body: new FormData() }, 400],
    ['post', '/v1/files', { body: '{}', headers: { authorization, ...json } }, 415],
    ['get', '/v1/files/{file_id}', {}, 404],
    ['delete', '/v1/files/{file_id}', {}, 404],
    ['get', '/v1/files/{file_id}/content', {}, 404],
    ['get', '/v1/batches', {}, 200],
    ['get', '/v1/batches?limit=x', {}, 400],
    ['post', '/v1/batches', { body: '{}', headers: { authorization, ...json } }, 400],
    [
      'post',
      '/v1/batches',
      { body: JSON.stringify({ ...batch, input_file_id: 'a' }), headers: { authorization, ...json } },
      404,
    ],
    ['get', '/v1/batches/{batch_id}', {}, 404],
    ['post', '/v1/batches/{batch_id}/cancel', {}, 404],
  ] as const) {
    const response = await fetch(url + path, { method, headers: { authorization }, ...init } as RequestInit);
    expect([method, path, response.status]).toEqual([method, path, status]);
    const documented = paths[path.split('?', 1)[0] as string]?.[method]?.responses ?? {};
    expect(Object.keys(documented)).toContain(String(status));
  }
});

test('answers come in the media types that the document names', async () => {
  const { url } = await serve();
  const { paths } = JSON.parse(await read(url)) as Document;
  const type = async (path: string, body: object) => {
    const response = await post(url + path, body);
    expect(response.status).toBe(200);
    const given = response.headers.get('content-type')?.split(';')[0] as string;
    expect(Object.keys(paths[path]?.post?.responses['200']?.content ?? {})).toContain(given);
    return given;
  };
  for (const [path, body] of Object.entries({
    '/v1/chat/completions': { messages: [{ role: 'user', content: 'a' }], max_tokens: 1 },
    '/v1/completions': { prompt: 'a', max_tokens: 1 },
    '/v1/infill': { length: 1 },
    '/v1/fill': { text: '___' },
  })) {
    expect(await type(path, body)).toBe('application/json');
    expect(await type(path, { ...body, stream: true })).toBe('text/event-stream');
  }
  expect(await type('/v1/denoise', { length: 1 })).toBe('text/event-stream');
});

test('a null that the server takes is one in the document', async () => {
  const { url } = await serve();
  const { paths } = JSON.parse(await read(url));
  const few = { max_tokens: 1, steps: 1 };
  const schedule = { type: 'blocks', length: 2, schedule: null };
  for (const [path, body] of [
    ['/v1/completions', { prompt: null, ...few }],
    ['/v1/completions', { prompt: 'a', ...few, schedule }],
    ['/v1/chat/completions', { messages: [{ role: 'assistant', content: null }, user], ...few }],
    ['/v1/infill', { length: 1, prefix: null, suffix: null, seed: null, steps: null }],
  ] as const) {
    const { schema } = paths[path].post.requestBody.content['application/json'];
    const reader = fastify({ ajv: { customOptions: { coerceTypes: false, strict: false } } });
    reader.post('/', { schema: { body: schema } }, async () => 'right');
    expect([body, (await reader.inject({ method: 'POST', url: '/', payload: body })).body]).toEqual([
      body,
      'right',
    ]);
    expect([body, (await post(url + path, body)).status]).toEqual([body, 200]);
  }
});
