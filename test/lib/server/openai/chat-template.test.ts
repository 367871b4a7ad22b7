import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { convertCheckpoint } from '../../../support/gguf/convert';
import { vocabulary } from '../../../support/gguf/vocabulary';
import { nanoFolder } from '../../../support/models';
import { folderWith, post, serve } from '../served';

jest.mock('../../../../lib/runtime/binding');

const system = { role: 'system', content: 'Be brief.' };
const user = { role: 'user', content: 'Hi <|mask|>' };
const source =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + eos_token + '\n' }}{% endfor %}" +
  '{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}{{ mood }}';
const expected = (mood: string) =>
  `<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi <|mask|><|im_end|>\n<|im_start|>assistant\n${mood}`;

const folderWithTemplate = (template: string) => () => folderWith({ 'chat_template.jinja': template });

/** Sends a chat request; returns its id. */
async function rendered(url: string, body: object): Promise<string> {
  const response = await post(`${url}/v1/chat/completions`, { max_tokens: 1, ...body });
  expect(response.status).toBe(200);
  return response.headers.get('x-request-id') as string;
}

/** The prompt of the model, from the log. */
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

test('a GGUF file has a template in its metadata', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rnd1-'));
  try {
    convertCheckpoint(nanoFolder, folder, join(folder, 'twin'), {
      type: 'F32',
      metadata: {
        ...vocabulary(join(nanoFolder, 'tokenizer.json')),
        'tokenizer.chat_template': { text: source },
      },
    });
    const body = { messages: [system, user] };
    expect(await promptOf({}, join(folder, 'model.gguf'), body)).toBe(expected(''));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe('of several templates', () => {
  const named = (templates: Record<string, string>) =>
    folderWith({
      'tokenizer_config.json': {
        chat_template: Object.entries(templates).map(([name, template]) => ({ name, template })),
      },
    });
  const body = (kwargs: object) => ({ messages: [user], chat_template_kwargs: kwargs });
  const three = {
    rag: 'R{{ documents|length }}',
    default: 'D{{ chat_template }}',
    tool_use: 'T{{ tools|length }}',
  };

  test('one is for requests with tools, the default for others, and a name decides', async () => {
    const folder = named(three);
    expect(await promptOf({}, folder, body({}))).toBe('D');
    expect(await promptOf({}, folder, body({ tools: null, chat_template: null }))).toBe('D');
    expect(await promptOf({}, folder, body({ documents: [1] }))).toBe('D');
    expect(await promptOf({}, folder, body({ tools: [] }))).toBe('T0');
    expect(await promptOf({}, folder, body({ tools: [1], chat_template: 'default' }))).toBe('D');
    expect(await promptOf({}, folder, body({ documents: [1, 2], chat_template: 'rag' }))).toBe('R2');
    const object = folderWith({ 'tokenizer_config.json': { chat_template: three } });
    expect(await promptOf({}, object, body({ tools: [1] }))).toBe('T1');
    expect(await promptOf({}, named({ default: 'D' }), body({ tools: [1] }))).toBe('D');
  });

  test('there must be the one that is asked for, and it must be one', async () => {
    const refusal = async (templates: Record<string, string>, kwargs: object) => {
      const { url } = await serve({}, named(templates));
      const response = await post(`${url}/v1/chat/completions`, body(kwargs));
      const { error } = (await response.json()) as { error: { param: string; message: string } };
      return [response.status, error.param, error.message];
    };
    const param = 'chat_template_kwargs.chat_template';
    expect(await refusal(three, { chat_template: 'RAG' })).toEqual([
      400,
      param,
      'there is no chat template "RAG", but "default", "rag", "tool_use"',
    ]);
    expect(await refusal({ rag: 'R', tool_use: 'T' }, {})).toEqual([
      400,
      param,
      'the checkpoint has chat templates without a default: name one of "rag", "tool_use" in chat_template_kwargs.chat_template',
    ]);
    expect(await refusal({ default: 'D', tool_use: '\n{{' }, { tools: [1] })).toEqual([
      400,
      'messages',
      expect.stringContaining('line 2: '),
    ]);
  });
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

test('special tokens that one model alone has go by their own names', async () => {
  const folder = folderWith({
    'chat_template.jinja':
      '{{ image_token }}{{ audio_end }}{{ additional_special_tokens }}{{ messages|length }}',
    'tokenizer_config.json': {
      extra_special_tokens: { image_token: '<|mask|>', audio_end: { content: '<|im_end|>' }, messages: 'x' },
      additional_special_tokens: ['<|im_start|>'],
    },
  });
  const prompt = await promptOf({}, folder, { messages: [user] });
  expect(prompt).toBe("<|mask|><|im_end|>['<|im_start|>']1");
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

describe('a message', () => {
  const shown = folderWithTemplate(
    '{% for m in messages %}[{{ m.role }}|{{ m.content }}|{{ m.name }}|{{ m.tool_call_id }}|{{ m.reasoning_content }}' +
      '|{% if m.tool_calls %}{% for call in m.tool_calls %}{{ call.function.name }}{{ call.function.arguments.city }}' +
      '{% endfor %}{% endif %}' +
      "|{{ 'audio' in m }}{{ 'refusal' in m }}|{{ m.mine }}]{% endfor %}",
  );
  const tools = [
    { id: 'c', type: 'function', function: { name: 'weather', arguments: { city: 'Bern', unit: null } } },
  ];

  test.each<[string, object, string]>([
    ['may have a name', { ...user, name: 'Ada' }, '[user|Hi <|mask|>|Ada|||'],
    ['of a tool', { role: 'tool', content: '17', tool_call_id: 'c' }, '[tool|17||c||'],
    ['of a function', { role: 'function', name: 'f', content: null }, '[function||f|'],
    ['with tool calls alone', { role: 'assistant', tool_calls: tools }, '[assistant|||||weatherBern|'],
    ['with reasoning', { role: 'assistant', content: '2', reasoning_content: 'hm' }, '[assistant|2|||hm|'],
    ['with a field of the template’s own', { ...user, mine: 'x' }, '|x]'],
    ['of the developer', { role: 'developer', content: 'Be brief.' }, '[system|Be brief.|'],
    [
      'with null content and the null fields of clients',
      {
        role: 'assistant',
        content: null,
        refusal: null,
        audio: null,
        function_call: null,
        tool_calls: null,
        name: null,
      },
      '[assistant||||||falsefalse|]',
    ],
    ['without content', { role: 'assistant', refusal: 'No.' }, '[assistant||||||falsetrue|]'],
    [
      'in parts',
      {
        role: 'assistant',
        content: [
          { type: 'text', text: 'a', annotations: null },
          { type: 'refusal', refusal: 'b' },
        ],
      },
      '[assistant|a\nb|',
    ],
    ['without parts', { role: 'user', content: [] }, '[user||'],
  ])('%s', async (_, message, expected) => {
    // Engines differ in how they print true, false and undefined values.
    const prompt = await promptOf({}, shown(), { messages: [message, user] });
    expect(prompt.replaceAll('False', 'false').replaceAll('True', 'true')).toContain(expected);
  });

  test('without a template is a turn of its own, even an empty one', async () => {
    const empty = { role: 'assistant', content: null };
    expect(await promptOf({}, undefined, { messages: [user, empty, user] })).toBe(
      'Question: Hi <|mask|>\nAnswer: \nQuestion: Hi <|mask|>\nAnswer:',
    );
  });
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
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({
    error: { code: 'chat_template_failed', message: expect.stringContaining('users only') },
  });
  const long = await serve({ chatTemplate: { template: "{{ raise_exception('x' * 9000) }}" } }, undefined);
  const told = await (await post(`${long.url}/v1/chat/completions`, { messages: [system] })).json();
  expect(told).toMatchObject({
    error: { message: expect.stringMatching(/^the chat template refuses the messages: x{1000}…$/) },
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

test('the file of a template may begin with a byte order mark, and has a limit', async () => {
  const marked = folderWith({ 'chat_template.jinja': `\uFEFF${source}` });
  expect(await promptOf({}, marked, { messages: [system, user] })).toBe(expected(''));
  const long = folderWith({ 'chat_template.jinja': 'x'.repeat(4_000_001) });
  await expect(serve({}, long)).rejects.toMatchObject({
    code: 'invalid_checkpoint',
    message: expect.stringContaining('chat_template.jinja has 4.00 MB; the limit is 4.00 MB'),
  });
});
