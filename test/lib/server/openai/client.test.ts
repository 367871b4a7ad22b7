import OpenAI, { AuthenticationError, BadRequestError, NotFoundError, RateLimitError } from 'openai';
import { DiffusionLM } from '../../../../lib/index';
import { createServer, type Server } from '../../../../lib/server';

// OpenAI's own npm package against the embedded model.

let model: DiffusionLM;
let server: Server;
let client: OpenAI;
let url = '';

beforeAll(async () => {
  model = await DiffusionLM.load();
  server = await createServer(model, {
    apiKeys: ['key'],
    page: false,
    maxRunning: 8,
    maxQueued: 8,
    maxPerClient: 100,
  });
  url = await server.listen({ port: 0 });
  client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'key', maxRetries: 0 });
});
afterAll(async () => {
  await server.close();
  await model.dispose();
});

const ask = (content: string) => ({ model: 'nano', messages: [{ role: 'user' as const, content }] });
const task = (question: string) => `Question: ${question}\nAnswer:`;

test('lists and retrieves the model', async () => {
  const list = await client.models.list();
  expect(list.data.map(({ id }) => id)).toEqual(['nano']);
  expect(await client.models.retrieve('nano')).toEqual(list.data[0]);
});

describe('chat', () => {
  test('answers as generate does', async () => {
    const { text, seed } = await model.generate('What is 47+38?', { seed: 5 });
    const answer = await client.chat.completions.create({
      ...ask('What is 47+38?'),
      seed: 5,
      logprobs: true,
    });
    expect(answer).toMatchObject({
      object: 'chat.completion',
      model: 'nano',
      seed: Number(seed),
      usage: { prompt_tokens: 32, completion_tokens: 3, total_tokens: 35 },
    });
    const [choice] = answer.choices;
    expect(choice).toMatchObject({ index: 0, finish_reason: 'stop', message: { role: 'assistant' } });
    expect(choice?.message.content).toBe(text);
    expect(text).toBe('85');
  });

  test('gives each token the log-probability of the step that committed it', async () => {
    const committed = new Map<number, number>();
    for await (const frame of model.denoise('Sort z k m q', { steps: 6 })) {
      for (const position of frame.committed) committed.set(position, frame.confidence[position] as number);
    }
    const request = { ...ask('Sort z k m q'), steps: 6, logprobs: true, top_logprobs: 1 };
    const { choices } = await client.chat.completions.create(request);
    const content = choices[0]?.logprobs?.content ?? [];
    expect(content.map(({ token }) => token).join('')).toBe(' k m q z');
    const first = Math.min(...committed.keys());
    expect(content.map(({ logprob }) => logprob)).toEqual(content.map((_, i) => committed.get(first + i)));
    for (const { token, logprob, bytes, top_logprobs } of content) {
      expect(bytes).toEqual([...Buffer.from(token)]);
      expect(top_logprobs).toEqual([{ token, logprob, bytes }]);
    }
  });

  test('gives tokens that are a part of a character their own bytes', async () => {
    const request = { ...ask('q'), max_tokens: 40, steps: 40, temperature: 8, seed: 3 };
    const { choices } = await client.chat.completions.create({ ...request, logprobs: true, top_logprobs: 1 });
    const content = choices[0]?.logprobs?.content ?? [];
    const parts = content.filter(({ token }) => token.includes('\uFFFD'));
    expect(parts.length).toBeGreaterThan(0);
    for (const { token, logprob, bytes, top_logprobs } of parts) {
      expect(bytes).toEqual([expect.any(Number)]);
      expect(bytes?.[0]).toBeGreaterThanOrEqual(0x80);
      expect(top_logprobs).toEqual([{ token, logprob, bytes }]);
    }
    const text = content.filter(({ token }) => !token.startsWith('<|')).flatMap(({ bytes }) => bytes ?? []);
    expect(Buffer.from(text).toString().replace(/^ /, '')).toBe(choices[0]?.message.content);
  });

  test('streams text in order, as soon as it is final', async () => {
    const stream = await client.chat.completions.create({
      ...ask('Sort z k m q'),
      steps: 31,
      stream: true,
      stream_options: { include_usage: true },
    } as OpenAI.ChatCompletionCreateParamsStreaming);
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const deltas = chunks.flatMap(({ choices }) => choices.map(({ delta }) => delta));
    expect(deltas[0]).toEqual({ role: 'assistant', content: '' });
    const texts = deltas.map(({ content }) => content ?? '').filter((text) => text !== '');
    expect(texts.join('')).toBe('k m q z');
    expect(texts.length).toBeGreaterThan(1);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    const reasons = chunks.flatMap(({ choices }) => choices.map(({ finish_reason }) => finish_reason));
    expect(reasons.filter((reason) => reason !== null)).toEqual(['stop']);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 8 } });
  });

  test('has a helper of the client’s that puts streams together', async () => {
    const runner = client.chat.completions.stream(ask('Reverse lantern'));
    expect(await runner.finalContent()).toBe('nretnal');
  });

  test('goes on after earlier answers, in the same form', async () => {
    const messages = [
      { role: 'user' as const, content: 'What is 1+1?' },
      { role: 'assistant' as const, content: '2' },
      { role: 'user' as const, content: [{ type: 'text' as const, text: 'What is 2+2?' }] },
    ];
    const answer = await client.chat.completions.create({
      model: 'nano',
      messages,
      max_completion_tokens: 8,
    });
    const prompt = `${task('What is 1+1?')} 2\n${task('What is 2+2?')}`;
    const alone = await model.generate(prompt, { mode: 'completion', maxNewTokens: 9 });
    expect(answer.choices[0]?.message.content).toBe(alone.text.replace(/^ /, ''));
  });
});

describe('completions', () => {
  test('take several prompts, n, stop, seeds and temperatures', async () => {
    const prompts = [task('Sort z k m q'), task('What is 1+1?')];
    const sampling = { temperature: 0.9, top_p: 0.95 };
    const answer = await client.completions.create({
      ...sampling,
      model: 'nano',
      prompt: prompts,
      n: 2,
      seed: 40,
      stop: [' q', 'never'],
    });
    const alone = [];
    for (const prompt of prompts) {
      for (const seed of [40, 41]) {
        const options = { temperature: 0.9, topP: 0.95, mode: 'completion' as const, seed };
        alone.push((await model.generate(prompt, options)).text.split(' q')[0]);
      }
    }
    expect(answer.choices.map(({ text }) => text)).toEqual(alone);
    expect(answer.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(answer.choices[0]).toMatchObject({ text: ' k m', finish_reason: 'stop' });
    expect(answer.usage?.prompt_tokens).toBe(prompts.join('').length);
  });

  test('take tokens for a prompt, echo it, and fill max_tokens exactly', async () => {
    const prompt = task('Sort z k m q');
    const ids = [...Buffer.from(prompt)];
    const answer = await client.completions.create({ model: 'nano', prompt: ids, echo: true, max_tokens: 3 });
    expect(answer.choices[0]?.text.startsWith(prompt)).toBe(true);
    expect(answer.usage).toMatchObject({ completion_tokens: 3 });
    expect(answer.choices[0]?.finish_reason).toBe('length');
    const text = await client.completions.create({ model: 'nano', prompt, echo: true, max_tokens: 3 });
    expect(text.choices).toEqual(answer.choices);
  });

  test('write between two texts', async () => {
    const prompt = 'Question: Reverse lan';
    const request = { prompt, suffix: 'ern\nAnswer: nretnal', max_tokens: 1, logprobs: 1 };
    const { choices } = await client.completions.create({ model: 'nano', ...request });
    expect(choices[0]).toMatchObject({
      text: 't',
      finish_reason: 'length',
      logprobs: { tokens: ['t'], text_offset: [0] },
    });
  });

  test('stream several answers at once, each in order', async () => {
    const stream = await client.completions.create({
      model: 'nano',
      prompt: [task('Sort z k m q'), task('Reverse lantern')],
      stream: true,
      logprobs: 1,
    });
    const texts = ['', ''];
    const tokens: string[][] = [[], []];
    for await (const { choices } of stream) {
      for (const { index, text, logprobs } of choices) {
        texts[index] += text;
        logprobs?.text_offset?.forEach((offset, i) => {
          expect(texts[index]?.slice(offset)).toMatch(new RegExp(`^${logprobs.tokens?.[i]}`));
        });
        tokens[index]?.push(...(logprobs?.tokens ?? []));
      }
    }
    expect(texts).toEqual([' k m q z', ' nretnal']);
    expect(tokens.map((list) => list.join(''))).toEqual(texts);
  });

  test('say where in the text each token begins', async () => {
    const request = {
      model: 'nano',
      prompt: task('q'),
      max_tokens: 100,
      temperature: 8,
      seed: 5,
      logprobs: 1,
    };
    const { choices } = await client.completions.create(request);
    const { tokens = [], text_offset = [] } = choices[0]?.logprobs ?? {};
    const letters = [...(choices[0]?.text ?? '')];
    expect(tokens.filter((token) => token === '\uFFFD').length).toBeGreaterThan(0);
    tokens.forEach((token, i) => {
      if (/^[\0-~]$/.test(token)) expect(letters[text_offset[i] as number]).toBe(token);
      expect(text_offset[i]).toBeGreaterThanOrEqual(text_offset[i - 1] ?? 0);
      expect(text_offset[i]).toBeLessThan(letters.length);
    });
    const offsets: number[] = [];
    for await (const chunk of await client.completions.create({ ...request, stream: true })) {
      offsets.push(...(chunk.choices[0]?.logprobs?.text_offset ?? []));
    }
    expect(offsets).toEqual(text_offset);
  });

  test('end when the reader of a stream breaks off', async () => {
    const stream = await client.completions.create({
      model: 'nano',
      prompt: task('Sort z k m q'),
      stream: true,
    });
    for await (const _ of stream) break;
    for (;;) {
      const metrics = await fetch(`${url}/metrics`, { headers: { authorization: 'Bearer key' } });
      if ((await metrics.text()).includes('rnd1_running_canvases 0\n')) break;
    }
  });
});

test('errors are the client’s own classes', async () => {
  const wrong = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'wrong', maxRetries: 0 });
  await expect(wrong.models.list()).rejects.toThrow(AuthenticationError);
  await expect(client.models.retrieve('gpt-4')).rejects.toThrow(NotFoundError);
  await expect(client.chat.completions.create({ ...ask('a'), temperature: -1 })).rejects.toThrow(
    BadRequestError,
  );
  const many = Array.from({ length: 30 }, () =>
    client.completions.create({ model: 'nano', prompt: 'a', n: 8 }),
  );
  const outcomes = await Promise.allSettled(many);
  const failures = outcomes.filter((outcome) => outcome.status === 'rejected');
  expect(failures.length).toBeGreaterThan(0);
  for (const { reason } of failures) {
    expect(reason).toBeInstanceOf(RateLimitError);
    expect(reason).toMatchObject({ code: 'queue_full', type: 'rate_limit_error' });
  }
});
