import { copyFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiffusionLM, type GenerateOptions } from '../../../lib';
import { createServer, type Server } from '../../../lib/server';
import { familyFolder } from '../../support/families';
import { nanoFolder } from '../../support/models';

/* Texts of which committed tokens are replaced, by a tiny checkpoint with the embedded model's tokenizer. */

const folder = mkdtempSync(join(tmpdir(), 'rnd1-editing-'));
let model: DiffusionLM;
let server: Server;
let url = '';

beforeAll(async () => {
  cpSync(familyFolder('tiny-llada'), folder, { recursive: true });
  copyFileSync(join(nanoFolder, 'tokenizer.json'), join(folder, 'tokenizer.json'));
  model = await DiffusionLM.load(folder, { device: 'cpu', dtype: 'f32', threads: 1 });
  server = await createServer(model, { page: false, shutdownTimeout: 0 });
  url = await server.listen({ port: 0 });
});

afterAll(async () => {
  await server.close();
  await model.dispose();
  rmSync(folder, { recursive: true });
});

const prompt = 'hello world';
const plain: GenerateOptions = {
  mode: 'completion',
  maxNewTokens: 12,
  suppressEos: true,
  schedule: { type: 'threshold', tau: 0.9, atLeast: 2 },
};
const options: GenerateOptions = { ...plain, editing: { threshold: 0, maxPostSteps: 4 } };
const body = {
  prompt,
  max_tokens: 12,
  suppress_eos: true,
  schedule: { type: 'threshold', tau: 0.9, at_least: 2 },
  editing: { threshold: 0, max_post_steps: 4 },
};

const ask = (path: string, fields: object) =>
  fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(fields),
  });

/** Data of the events of a stream. */
const dataOf = (text: string) =>
  text.split('\n').flatMap((line) => (line.startsWith('data: {') ? [JSON.parse(line.slice(6))] : []));

test('replaces tokens', async () => {
  expect((await model.generate(prompt, options)).text).not.toBe((await model.generate(prompt, plain)).text);
});

test('a stream of parts gives the text of generate', async () => {
  const parts: string[] = [];
  for await (const part of model.stream(prompt, options)) parts.push(part);
  expect(parts.join('')).toBe((await model.generate(prompt, options)).text);
});

test('so do completions, streamed or not, with the log-probabilities of the last tokens', async () => {
  const last = new Map<number, number>();
  const frames = model.denoise(prompt, options);
  const { text, positions } = await (async () => {
    for (;;) {
      const next = await frames.next();
      if (next.done) return next.value;
      for (const position of next.value.committed)
        last.set(position, next.value.confidence[position] as number);
    }
  })();
  const whole = (await (await ask('/v1/completions', { ...body, logprobs: 1 })).json()) as {
    choices: { text: string; logprobs: { token_logprobs: number[] } }[];
  };
  expect(whole.choices[0]?.text).toBe(text);
  const logprobs = whole.choices[0]?.logprobs.token_logprobs as number[];
  expect(logprobs.length).toBeGreaterThan(0);
  expect(logprobs).toEqual([...positions].slice(0, logprobs.length).map((position) => last.get(position)));
  const chunks = dataOf(await (await ask('/v1/completions', { ...body, stream: true })).text());
  expect(chunks.map(({ choices }) => choices[0].text).join('')).toBe(text);
});

test('frames say which positions held another token', async () => {
  const { max_tokens, ...fields } = body;
  const held = new Map<number, number>();
  const events = dataOf(
    await (await ask('/v1/denoise', { ...fields, mode: 'completion', max_tokens })).text(),
  );
  let all = 0;
  for (const { committed = [], edited = [] } of events) {
    const known = committed.filter(({ position }: { position: number }) => held.has(position));
    expect(known.map(({ position }: { position: number }) => position)).toEqual(edited);
    all += edited.length;
    for (const { position, id } of committed) held.set(position, id);
  }
  expect(all).toBeGreaterThan(0);
  for await (const frame of model.denoise(prompt, options)) {
    expect(JSON.parse(JSON.stringify(frame)).edited).toEqual([...frame.edited]);
  }
});

test.each([
  [{ schedule: { type: 'blocks', length: 4, steps: 70_000 } }],
  [{ editing: { threshold: 0, max_post_steps: 70_000 } }],
  [{ cache: 'dual', refresh: 70_000 }],
])('a request cannot ask for any number of passes: %j', async (fields) => {
  expect((await ask('/v1/denoise', { ...body, ...fields })).status).toBe(400);
});
