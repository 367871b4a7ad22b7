import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fixtures } from '../checkpoint/files';
import { nano } from '../diffusion-lm/nano-model';
import { post, serve } from './served';

// biome-ignore lint/suspicious/noExplicitAny: matchers check the body
const bodyOf = async (answer: Response): Promise<any> => answer.json();

jest.mock('../../../lib/runtime/binding');

// A causal model with a tokenizer whose ids are all in its vocabulary.
const folder = mkdtempSync(join(tmpdir(), 'rnd1-causal-'));
beforeAll(() => {
  cpSync(join(fixtures, 'families', 'tiny-qwen3'), folder, { recursive: true });
  cpSync(join(nano, 'tokenizer.json'), join(folder, 'tokenizer.json'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test('a causal model writes max_tokens tokens', async () => {
  const { url } = await serve({}, folder);
  const answer = await post(`${url}/v1/completions`, { model: 'nano', prompt: 'hi', max_tokens: 5 });
  expect(answer.status).toBe(200);
  expect((await bodyOf(answer)).usage).toMatchObject({ prompt_tokens: 2, completion_tokens: 5, steps: 5 });
  const { data } = await bodyOf(await fetch(`${url}/v1/models`));
  expect(data[0].reserves_end).toBe(false);
});

test('a schedule of the page has no effect on it', async () => {
  const { url } = await serve({}, folder);
  const schedule = { type: 'entropy-bounded', gamma: 0.1 };
  const body = { model: 'nano', prompt: 'hi', max_tokens: 3, steps: 1, schedule };
  const answer = await post(`${url}/v1/completions`, body);
  expect((await bodyOf(answer)).usage.steps).toBe(3);
});

test('text with holes is refused', async () => {
  const { url } = await serve({}, folder);
  const answer = await post(`${url}/v1/fill`, { text: 'a ___ b' });
  expect(answer.status).toBe(400);
  expect((await bodyOf(answer)).error.message).toContain('it generates, but cannot fill in text');
});
