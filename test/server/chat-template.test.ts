import { join } from 'node:path';
import { folderWith, post, serve } from './served';

jest.mock('../../lib/binding');

const system = { role: 'system', content: 'Be brief.' };
const user = { role: 'user', content: 'Hi <|mask|>' };
const source =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + eos_token + '\n' }}{% endfor %}" +
  '{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}{{ mood }}';
const expected = (mood: string) =>
  `<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi <|mask|><|im_end|>\n<|im_start|>assistant\n${mood}`;

/** The text that a chat becomes. */
async function rendered(url: string, body: object): Promise<string> {
  const response = await post(`${url}/v1/chat/completions`, { max_tokens: 1, ...body });
  expect(response.status).toBe(200);
  return response.headers.get('x-request-id') as string;
}

/** What the log says that the model was given. */
async function promptOf(options: Parameters<typeof serve>[0], folder: string | undefined, body: object) {
  const lines: string[] = [];
  const stream = { write: (line: string) => void lines.push(line) };
  const { url } = await serve({ ...options, logPrompts: true, logger: { level: 'info', stream } }, folder);
  const id = await rendered(url, body);
  const entry = lines.map((line) => JSON.parse(line)).find((each) => each.id === id && each.msg === 'answer');
  return entry.prompts[0];
}

test('the checkpoint’s template is used, from either file, with its special tokens and what a request adds', async () => {
  const body = { messages: [system, user], chat_template_kwargs: { mood: 'gladly' } };
  const beside = folderWith({ 'chat_template.jinja': source });
  expect(await promptOf({}, beside, body)).toBe(expected('gladly'));
  const inside = folderWith({ 'tokenizer_config.json': { chat_template: source } });
  expect(await promptOf({}, inside, { messages: [{ ...system, role: 'developer' }, user] })).toBe(
    expected(''),
  );
  const named = folderWith({
    'tokenizer_config.json': {
      chat_template: [
        { name: 'tool', template: '' },
        { name: 'default', template: source },
      ],
    },
  });
  expect(await promptOf({}, named, { messages: [system, user] })).toBe(expected(''));
});

test('tools and documents are None where a request has none', async () => {
  const body = { messages: [user] };
  const template =
    '{{ tools is none }}{{ documents }}{% if tools is not none %}{% for t in tools %}{% endfor %}{% endif %}';
  const folder = folderWith({ 'chat_template.jinja': template });
  expect(await promptOf({}, folder, body)).toBe('TrueNone');
  expect(await promptOf({}, folder, { ...body, chat_template_kwargs: { documents: ['d'] } })).toBe(
    "True['d']",
  );
});

test('another one, or none, can be asked for', async () => {
  const folder = folderWith({ 'chat_template.jinja': source });
  const body = { messages: [user] };
  expect(await promptOf({ chatTemplate: { template: 'T{{ messages|length }}' } }, folder, body)).toBe('T1');
  expect(await promptOf({ chatTemplate: 'task' }, folder, body)).toBe('Question: Hi <|mask|>\nAnswer:');
});

test('without a template questions stand in the task form, system text before them', async () => {
  const body = { messages: [system, user, { role: 'assistant', content: 'Yes' }, user] };
  expect(await promptOf({}, undefined, body)).toBe(
    'Be brief.\nQuestion: Hi <|mask|>\nAnswer: Yes\nQuestion: Hi <|mask|>\nAnswer:',
  );
});

test('a model from the hub goes by its name there', async () => {
  const cached = folderWith({}, join('models--radicalnumerics--RND1-Base-0910', 'snapshots', 'abc'));
  const { server } = await serve({ modelName: undefined }, cached);
  expect(server.modelName).toBe('radicalnumerics/RND1-Base-0910');
});

test('messages that a template refuses are the client’s fault, a template that is none the folder’s', async () => {
  const picky = folderWith({ 'chat_template.jinja': "{{ raise_exception('users only') }}" });
  const { url } = await serve({}, picky);
  const response = await post(`${url}/v1/chat/completions`, { messages: [system] });
  expect(response.status).toBe(422);
  expect(await response.json()).toMatchObject({
    error: { code: 'chat_template_failed', message: expect.stringContaining('users only') },
  });
  const failing = await serve({ chatTemplate: { template: '\n{{ messages.x.y }}' } }, undefined);
  const refused = await post(`${failing.url}/v1/chat/completions`, { messages: [system] });
  expect(await refused.json()).toMatchObject({
    error: {
      code: 'chat_template_failed',
      message: expect.stringMatching(/line 2: 'list object' has no attribute/),
    },
  });
  const broken = folderWith({ 'chat_template.jinja': 'a\n{% for %}' });
  await expect(serve({}, broken)).rejects.toMatchObject({
    code: 'invalid_checkpoint',
    message: expect.stringMatching(/: its chat template cannot be parsed: line 2: /),
  });
  await expect(serve({ chatTemplate: { template: '{{ ' } }, undefined)).rejects.toThrow(
    'chatTemplate cannot be parsed: line 1: ',
  );
});
