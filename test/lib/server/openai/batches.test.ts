import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI, { type APIError, toFile } from 'openai';
import type { Batch } from 'openai/resources/batches';
import { DiffusionLM } from '../../../../lib/index';
import { createServer, type Server, type ServerOptions } from '../../../../lib/server';
import { root, start as run } from '../../cli/rnd1';
import { until } from '../until';

// OpenAI's own npm package uploads files and runs batches on the embedded model.

let model: DiffusionLM;
let folder = '';
const servers: Server[] = [];

beforeAll(async () => {
  model = await DiffusionLM.load();
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rnd1-batches-'));
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
  rmSync(folder, { recursive: true, force: true });
});
afterAll(() => model.dispose());

async function serve(options: ServerOptions = {}) {
  const server = await createServer(model, {
    page: false,
    batchFolder: folder,
    shutdownTimeout: 0,
    ...options,
  });
  servers.push(server);
  const baseURL = `${await server.listen({ port: 0 })}/v1`;
  const clientOf = (apiKey: string) => new OpenAI({ baseURL, apiKey, maxRetries: 0 });
  return { server, baseURL, clientOf, client: clientOf('key') };
}

const question = (i: number) => ({
  custom_id: `sum-${i}`,
  method: 'POST',
  url: '/v1/chat/completions',
  body: { messages: [{ role: 'user', content: `What is ${i}+3?` }], steps: 4, temperature: 0.5 },
});
const jsonl = (lines: readonly object[]) => lines.map((line) => `${JSON.stringify(line)}\n`).join('');
const questions = (count: number) => jsonl(Array.from({ length: count }, (_, i) => question(i)));
const upload = async (client: OpenAI, text: string, name = 'in.jsonl') =>
  client.files.create({ file: await toFile(Buffer.from(text), name), purpose: 'batch' });
const start = (client: OpenAI, input_file_id: string) =>
  client.batches.create({ input_file_id, endpoint: '/v1/chat/completions', completion_window: '24h' });
const linesOf = (text: string) =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));

/** Waits until a batch has one of these states. */
async function reach(client: OpenAI, id: string, ...states: Batch['status'][]): Promise<Batch> {
  let batch = await client.batches.retrieve(id);
  await until(async () => {
    batch = await client.batches.retrieve(id);
    return states.includes(batch.status);
  });
  return batch;
}

const refusal = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (error: APIError) => [error.status, error.code, error.param],
  );

describe('files', () => {
  test('are kept byte for byte, listed, downloaded and deleted', async () => {
    const { client } = await serve();
    const text = questions(20_000);
    expect(text.length).toBeGreaterThan(2_000_000);
    const file = await upload(client, text, '../folder\\my file.jsonl');
    const now = Date.now() / 1000;
    expect(file).toMatchObject({
      object: 'file',
      bytes: text.length,
      filename: 'my file.jsonl',
      purpose: 'batch',
      status: 'processed',
    });
    expect(Math.abs(file.created_at - now)).toBeLessThan(60);
    expect(file.expires_at).toBe(file.created_at + 30 * 24 * 60 * 60);
    expect(await client.files.retrieve(file.id)).toEqual(file);
    expect(await (await client.files.content(file.id)).text()).toBe(text);
    const second = await client.files.create({
      file: await toFile(Buffer.from('{}\n'), 'b'),
      purpose: 'batch',
      expires_after: { anchor: 'created_at', seconds: 3600 },
    });
    expect(second.expires_at).toBe(second.created_at + 3600);
    const ids = async (query: OpenAI.FileListParams = {}) =>
      (await client.files.list(query)).data.map(({ id }) => id);
    expect(await ids()).toEqual([second.id, file.id]);
    expect(await ids({ order: 'asc' })).toEqual([file.id, second.id]);
    expect(await ids({ limit: 1 })).toEqual([second.id]);
    expect(await ids({ after: second.id })).toEqual([file.id]);
    expect(await ids({ purpose: 'batch_output' })).toEqual([]);
    expect(await client.files.delete(file.id)).toEqual({ id: file.id, object: 'file', deleted: true });
    expect(await ids()).toEqual([second.id]);
    expect(await refusal(client.files.content(file.id))).toEqual([404, 'file_not_found', 'file_id']);
    expect(readdirSync(join(folder, 'files')).sort()).toEqual([`${second.id}.json`, `${second.id}.jsonl`]);
  });

  test('have limits of size, each and together', async () => {
    const { client } = await serve({ maxFileBytes: 100_000, maxFolderBytes: 250_000 });
    const file = (bytes: number) => upload(client, 'a'.repeat(bytes));
    expect(await refusal(file(100_001))).toEqual([413, 'file_too_large', 'file']);
    const first = await file(100_000);
    await file(100_000);
    expect(await refusal(file(100_000))).toEqual([403, 'storage_full', 'file']);
    await client.files.delete(first.id);
    // Small files count, too.
    await file(1);
    await file(1);
    expect(await refusal(file(70_000))).toEqual([403, 'storage_full', 'file']);
    expect(readdirSync(join(folder, 'files'))).toHaveLength(6);
  });

  test('that are not sent as they should be are refused, and leave nothing', async () => {
    const { baseURL, client } = await serve();
    const send = async (body: string, type = 'multipart/form-data; boundary=b') => {
      const response = await fetch(`${baseURL}/files`, {
        method: 'POST',
        body,
        headers: { 'content-type': type },
      });
      const { error } = (await response.json()) as { error: { code: string; param: string | null } };
      return [response.status, error.code, error.param];
    };
    const part = (name: string, value: string, filename?: string) =>
      `--b\r\nContent-Disposition: form-data; name="${name}"${filename === undefined ? '' : `; filename="${filename}"`}\r\n\r\n${value}\r\n`;
    const end = '--b--\r\n';
    const file = part('file', '{}', 'a');
    const purpose = part('purpose', 'batch');
    expect(await send('{}', 'application/json')).toEqual([415, 'unsupported_media_type', null]);
    expect(await send('a=b', 'application/x-www-form-urlencoded')).toEqual([
      415,
      'unsupported_media_type',
      null,
    ]);
    expect(await send('', 'multipart/form-data')).toEqual([400, 'invalid_form', null]);
    expect(await send(purpose + file)).toEqual([400, 'invalid_form', null]);
    expect(await send(purpose + end)).toEqual([400, 'missing_field', 'file']);
    expect(await send(file + end)).toEqual([400, 'invalid_value', 'purpose']);
    expect(await send(part('purpose', 'fine-tune') + file + end)).toEqual([400, 'invalid_value', 'purpose']);
    expect(await send(purpose + part('x', 'y') + file + end)).toEqual([400, 'unknown_field', 'x']);
    expect(await send(purpose + part('document', '{}', 'a') + end)).toEqual([400, 'invalid_form', null]);
    expect(await send(purpose + file + file + end)).toEqual([400, 'invalid_form', null]);
    expect(await send(purpose + purpose + file + end)).toEqual([400, 'invalid_form', null]);
    const late = part('expires_after[anchor]', 'created_at') + part('expires_after[seconds]', '1');
    expect(await send(purpose + late + file + end)).toEqual([400, 'invalid_value', 'expires_after']);
    // Only this route takes forms.
    const response = await fetch(`${baseURL}/completions`, {
      method: 'POST',
      body: purpose + file + end,
      headers: { 'content-type': 'multipart/form-data; boundary=b' },
    });
    expect(response.status).toBe(415);
    expect(readdirSync(join(folder, 'files'))).toEqual([]);
    // And the connection goes on.
    expect((await client.files.list()).data).toEqual([]);
  });

  test('do not exist without a folder', async () => {
    const { client } = await serve({ batchFolder: null });
    for (const work of [client.files.list(), client.batches.retrieve('a'), upload(client, 'a')])
      await expect(work).rejects.toThrow('404 files and batches need --batch-folder');
  });
});

describe('batches', () => {
  test('run as docs/batch.md shows', async () => {
    const { baseURL } = await serve();
    const manual = readFileSync(join(root, 'docs', 'batch.md'), 'utf8');
    const [, program = ''] = /^```js\n([\s\S]*?)^```$/m.exec(manual) ?? [];
    const input = join(folder, 'questions.jsonl');
    writeFileSync(input, questions(3));
    const here = program.replace('http://127.0.0.1:8080/v1', baseURL).replace('questions.jsonl', input);
    const code = `${here}\nconsole.log(answers.split('\\n').length - 1);`;
    const asked = await run(process.execPath, ['--input-type=module', '-e', code]);
    expect(asked).toEqual({ code: 0, stdout: '3\n', stderr: '' });
  });

  test('are answered as the command line answers them', async () => {
    const { client } = await serve();
    const wrong = { ...question(0), custom_id: 'wrong', body: { messages: [] } };
    const file = await upload(client, questions(30) + jsonl([wrong]));
    const created = await client.batches.create({
      input_file_id: file.id,
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      metadata: { topic: 'sums' },
    });
    expect(created).toMatchObject({
      object: 'batch',
      endpoint: '/v1/chat/completions',
      input_file_id: file.id,
      completion_window: '24h',
      metadata: { topic: 'sums' },
      errors: null,
    });
    expect(created.expires_at).toBe(created.created_at + 24 * 60 * 60);
    const batch = await reach(client, created.id, 'completed');
    expect(batch.request_counts).toEqual({ total: 31, completed: 30, failed: 1 });
    expect([batch.in_progress_at, batch.finalizing_at, batch.completed_at].every(Number.isInteger)).toBe(
      true,
    );
    const answers = linesOf(await (await client.files.content(batch.output_file_id as string)).text());
    expect(answers.map(({ custom_id }) => custom_id)).toEqual(
      Array.from({ length: 30 }, (_, i) => `sum-${i}`),
    );
    const alone = await client.chat.completions.create({
      model: 'nano',
      ...question(7).body,
      seed: answers[7].response.body.seed,
    } as OpenAI.ChatCompletionCreateParamsNonStreaming);
    expect(answers[7].response.body.choices).toEqual(alone.choices);
    const errors = linesOf(await (await client.files.content(batch.error_file_id as string)).text());
    expect(errors).toEqual([
      expect.objectContaining({
        custom_id: 'wrong',
        response: expect.objectContaining({
          status_code: 400,
          body: { error: expect.objectContaining({ param: 'messages' }) },
        }),
      }),
    ]);
    expect((await client.files.retrieve(batch.output_file_id as string)).purpose).toBe('batch_output');
    expect(readdirSync(join(folder, 'batches'))).toEqual([`${batch.id}.json`]);
    expect(await refusal(client.batches.cancel(batch.id))).toEqual([409, 'batch_ended', null]);
    // The same input once more: the same bytes.
    const again = await reach(client, (await start(client, file.id)).id, 'completed');
    const contents = [batch, again].map(async ({ output_file_id }) =>
      (await client.files.content(output_file_id as string)).text(),
    );
    expect(await contents[1]).toBe(await contents[0]);
    const listed = await client.batches.list({ limit: 1 });
    expect(listed.data.map(({ id }) => id)).toEqual([again.id]);
    expect(listed.has_more).toBe(true);
    const ids: string[] = [];
    for await (const { id } of client.batches.list({ limit: 1 })) ids.push(id);
    expect(ids).toEqual([again.id, batch.id]);
  });

  test('of wrong files fail with the line, even while another one runs', async () => {
    const { client } = await serve({ maxBatchLines: 400, maxRunning: 2 });
    const long = await start(client, (await upload(client, questions(400))).id);
    const failed = async (text: string) => {
      const { id } = await start(client, (await upload(client, text)).id);
      const batch = await reach(client, id, 'failed');
      expect(batch.output_file_id).toBe(null);
      return batch.errors?.data;
    };
    expect(await failed(`${questions(1)}{`)).toEqual([
      { code: 'invalid_json_line', line: 2, message: 'the line is not a JSON object in UTF-8', param: null },
    ]);
    expect(await failed(questions(1) + questions(1))).toMatchObject([
      { code: 'duplicate_custom_id', line: 2 },
    ]);
    expect(await failed(jsonl([{ ...question(0), url: '/v1/fill' }]))).toMatchObject([
      { code: 'mismatched_url', line: 1, param: 'url' },
    ]);
    expect(await failed(questions(401))).toMatchObject([{ code: 'too_many_lines', line: 401 }]);
    expect(await failed('\n')).toMatchObject([{ code: 'empty_file', line: null }]);
    expect((await client.batches.retrieve(long.id)).status).toBe('in_progress');
  });

  test('can be cancelled, and keep what is answered', async () => {
    const { client } = await serve({ maxRunning: 4 });
    const file = await upload(client, questions(2000));
    const { id } = await start(client, file.id);
    const waiting = await start(client, file.id);
    await until(async () => ((await client.batches.retrieve(id)).request_counts?.completed ?? 0) > 3);
    expect(await refusal(client.files.delete(file.id))).toEqual([409, 'file_in_use', null]);
    expect(['cancelling', 'cancelled']).toContain((await client.batches.cancel(waiting.id)).status);
    expect(['cancelling', 'cancelled']).toContain((await client.batches.cancel(id)).status);
    const batch = await reach(client, id, 'cancelled');
    const answers = linesOf(await (await client.files.content(batch.output_file_id as string)).text());
    expect(answers.length).toBe(batch.request_counts?.completed);
    expect(answers.length).toBeLessThan(2000);
    expect((await reach(client, waiting.id, 'cancelled')).output_file_id).toBe(null);
    await client.files.delete(file.id);
  });

  test('go on after a restart, from where they were', async () => {
    const first = await serve({ maxRunning: 4 });
    const file = await upload(first.client, questions(200));
    const [one, two] = [await start(first.client, file.id), await start(first.client, file.id)];
    const done = async () => (await first.client.batches.retrieve(one.id)).request_counts?.completed ?? 0;
    await until(async () => (await done()) > 10);
    await expect(serve()).rejects.toThrow(`${folder} is being written by process ${process.pid}`);
    await first.server.close();
    const left = readFileSync(join(folder, 'batches', `${one.id}.jsonl`), 'utf8');
    expect(left.split('\n').length).toBeGreaterThan(10);
    // A line that was cut off, an upload that was, and a lock that a killed process left.
    writeFileSync(join(folder, 'batches', `${one.id}.jsonl`), `${left}{"id": "ba`);
    writeFileSync(join(folder, 'files', `file-${'0'.repeat(24)}.jsonl.tmp`), 'x');
    writeFileSync(join(folder, 'batches', `${one.id}.jsonl.lock`), 'elsewhere 1 0');
    const { client } = await serve();
    const batches = [await reach(client, one.id, 'completed'), await reach(client, two.id, 'completed')];
    const texts = batches.map(async ({ output_file_id }) =>
      (await client.files.content(output_file_id as string)).text(),
    );
    const [a, b] = [await texts[0], await texts[1]];
    expect(a).toBe(b);
    expect(a?.startsWith(left)).toBe(true);
    expect(linesOf(a as string)).toHaveLength(200);
    expect(readdirSync(join(folder, 'files'))).toHaveLength(6);
  });

  test('that take too long expire, with an error for every line that is left', async () => {
    const first = await serve({ maxRunning: 2 });
    const file = await upload(first.client, questions(300));
    const { id } = await start(first.client, file.id);
    await until(async () => ((await first.client.batches.retrieve(id)).request_counts?.completed ?? 0) > 3);
    await first.server.close();
    const record = join(folder, 'batches', `${id}.json`);
    writeFileSync(record, JSON.stringify({ ...JSON.parse(readFileSync(record, 'utf8')), expiresAt: 1 }));
    const { client } = await serve({ maxRunning: 2 });
    const batch = await reach(client, id, 'expired');
    const { completed = 0, failed = 0 } = batch.request_counts ?? {};
    expect(completed).toBeGreaterThan(3);
    expect(completed + failed).toBe(300);
    const errors = linesOf(await (await client.files.content(batch.error_file_id as string)).text());
    expect(errors).toHaveLength(failed);
    expect(errors[0]).toMatchObject({ response: null, error: { code: 'batch_expired' } });
  });

  test('and files belong to the API key that made them', async () => {
    const { clientOf } = await serve({ apiKeys: ['one', 'two'] });
    const [one, two] = [clientOf('one'), clientOf('two')];
    const file = await upload(one, questions(1));
    const batch = await start(one, file.id);
    await reach(one, batch.id, 'completed');
    expect(await refusal(two.files.retrieve(file.id))).toEqual([404, 'file_not_found', 'file_id']);
    expect(await refusal(two.files.delete(file.id))).toEqual([404, 'file_not_found', 'file_id']);
    expect(await refusal(start(two, file.id))).toEqual([404, 'file_not_found', 'input_file_id']);
    expect(await refusal(two.batches.retrieve(batch.id))).toEqual([404, 'batch_not_found', 'batch_id']);
    expect((await two.files.list()).data).toEqual([]);
    expect((await two.batches.list()).data).toEqual([]);
    expect((await one.files.list()).data).toHaveLength(2);
    expect(await refusal(clientOf('three').files.list())).toEqual([401, 'invalid_api_key', null]);
    // Output is no input.
    const output = (await one.files.list({ purpose: 'batch_output' })).data[0]?.id as string;
    expect(await refusal(start(one, output))).toEqual([400, 'invalid_value', 'input_file_id']);
  });

  test('and files are deleted when they are old', async () => {
    const first = await serve();
    const file = await upload(first.client, questions(1));
    const batch = await start(first.client, file.id);
    await reach(first.client, batch.id, 'completed');
    await first.server.close();
    for (const kind of ['files', 'batches'])
      for (const name of readdirSync(join(folder, kind)).filter((name) => name.endsWith('.json'))) {
        const path = join(folder, kind, name);
        const old = { createdAt: 1, ...(kind === 'files' ? { expiresAt: 2 } : {}) };
        writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...old }));
      }
    const { client } = await serve();
    expect((await client.files.list()).data).toEqual([]);
    expect((await client.batches.list()).data).toEqual([]);
    expect(readdirSync(join(folder, 'files'))).toEqual([]);
    expect(readdirSync(join(folder, 'batches'))).toEqual([]);
  });
});
