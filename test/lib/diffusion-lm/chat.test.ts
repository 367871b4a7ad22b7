import { join } from 'node:path';
import { type ChatMessage, type ChatOptions, DiffusionLM, type LoadOptions } from '../../../lib/index';
import { createServer } from '../../../lib/server';
import { instructTwin, type TwinOptions, twinTokens } from '../../support/instruct-twin';
import { temporaryFolder } from '../checkpoint/files';
import { all, load as loadNano, nano, native, sessionOf } from './nano-model';

jest.mock('../../../lib/runtime/binding');

const models: DiffusionLM[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.dispose();
});

type Files = Record<string, string>;

async function load(twin: TwinOptions = {}, files: Files = {}, options: LoadOptions = {}) {
  const model = await DiffusionLM.load(temporaryFolder({ ...instructTwin(twin), ...files }), options);
  models.push(model);
  return model;
}

const vocabulary = 384;
const ids = (text: string) =>
  text
    .split(/(<[^>]*>)/)
    .flatMap((part) => twinTokens[part as keyof typeof twinTokens] ?? [...Buffer.from(part)]);

/** A model that writes a text after the last `</role>`, each position with less confidence than the one before. */
function writes(text: string) {
  const wanted = ids(text);
  return (tokens: Int32Array) => {
    const start = tokens.lastIndexOf(twinTokens['</role>']) + 1;
    const logits = new Float32Array(tokens.length * vocabulary);
    // The stub scores as RND1: row i − 1 predicts position i.
    for (let position = 1; position < tokens.length; position++) {
      const token = position < start ? 0 : (wanted[position - start] ?? twinTokens['<|endoftext|>']);
      logits[(position - 1) * vocabulary + token] = 40 - position / 8;
    }
    return logits;
  };
}

/** The canvas of the last step. */
const canvas = () => sessionOf().batches.at(-1)?.[0]?.tokens as Int32Array;
/** Its prompt: all before the first mask. */
const prompt = () => [...canvas()].slice(0, canvas().indexOf(twinTokens['<|mask|>']));

const user = (content: string): ChatMessage => ({ role: 'user', content });
const conversation: ChatMessage[] = [
  { role: 'system', content: 'Be brief.' },
  user('Hi'),
  { role: 'assistant', content: 'Hello.' },
  user('Why?'),
];
const rendered =
  '<role>SYSTEM</role>Be brief.<|role_end|><role>HUMAN</role>Hi<|role_end|>' +
  '<role>ASSISTANT</role>Hello.<|role_end|><role>HUMAN</role>Why?<|role_end|><role>ASSISTANT</role>';
const hi = '<role>HUMAN</role>Hi<|role_end|><role>ASSISTANT</role>';
const few: ChatOptions = { maxNewTokens: 8, steps: 1 };

describe('chat', () => {
  test('continues the conversation in the checkpoint’s template, up to the end of the turn', async () => {
    native.model = writes(' Because.<|role_end|>junk');
    const model = await load();
    const result = await model.chat(conversation, { maxNewTokens: 24, steps: 1 });
    expect(prompt()).toEqual(ids(rendered));
    expect(result).toMatchObject({ text: ' Because.', written: [' Because.'] });
    expect([...result.tokens].slice(ids(rendered).length, -1)).toContain(twinTokens['<|role_end|>']);
  });

  test('ends where any token ends a text', async () => {
    native.model = writes('A<|endoftext|>B<|role_end|>');
    const model = await load();
    expect((await model.chat([user('Hi')], few)).text).toBe('A');
    expect(model.config.tokens.eosTokenIds).toEqual([372, twinTokens['<|role_end|>']]);
  });

  test('stops early, unless it is told not to', async () => {
    native.model = writes('A<|role_end|>');
    const model = await load();
    const options: ChatOptions = { maxNewTokens: 16, steps: 16, schedule: 'confidence' };
    const early = await model.chat([user('Hi')], options);
    expect(early).toMatchObject({ text: 'A', finishReason: 'stop', forwards: 2 });
    const whole = await model.chat([user('Hi')], { ...options, stopAtEos: false });
    expect(whole).toMatchObject({ text: 'A', finishReason: 'length', forwards: 16 });
  });

  test('step by step, and as text from left to right, gives the same', async () => {
    native.model = writes('Blue sky.<|role_end|>');
    const model = await load();
    const options: ChatOptions = { maxNewTokens: 16, steps: 16, schedule: 'confidence' };
    const { text } = await model.chat([user('Hi')], options);
    const frames = await all(model.denoiseChat([user('Hi')], options));
    expect(frames.map(({ written }) => written[0]?.replace(/░+$/, ''))).toEqual(
      expect.arrayContaining(['B', 'Blue', text]),
    );
    expect(frames[0]?.text).toContain('</role>B░');
    const parts = await all(model.streamChat([user('Hi')], options));
    expect(parts.length).toBeGreaterThan(3);
    expect(parts.join('')).toBe(text);
  });

  test('passes variables to the template', async () => {
    const model = await load({ template: '{{ mood }}{{ messages[0].content }}' });
    await model.chat([user('Hi')], { ...few, templateVariables: { mood: 'glad ' } });
    expect(prompt()).toEqual(ids('glad Hi'));
    await model.chat([user('Hi')], few);
    expect(prompt()).toEqual(ids('Hi'));
  });

  test('copies its arguments', async () => {
    const model = await load();
    const messages = [{ ...user('Hi') }];
    const variables = { chat_template: 'default' };
    const answer = model.chat(messages, { ...few, templateVariables: variables });
    (messages[0] as { content: string }).content = 'changed';
    variables.chat_template = 'none';
    await answer;
    expect(prompt()).toEqual(ids(hi));
  });

  test('computes nothing before it is asked', async () => {
    const model = await load();
    const frames = model.denoiseChat([user('Hi')], few);
    await new Promise(setImmediate);
    expect(model.chatPrompts.pending).toBe(0);
    expect(sessionOf().batches).toEqual([]);
    await frames.return(undefined as never);
  });

  const wrong: [string, unknown, object | undefined, typeof Error, string][] = [
    ['no list', 'Hi', undefined, TypeError, "messages must be a list, not 'Hi'"],
    ['none', [], undefined, RangeError, 'messages must not be empty'],
    ['a text', ['Hi'], undefined, TypeError, "messages[0] must be { role, content }, not 'Hi'"],
    ['a hole', new Array(1), undefined, TypeError, 'messages[0] must be { role, content }, not undefined'],
    ['null', [null], undefined, TypeError, 'messages[0] must be { role, content }, not null'],
    ['a role', [user('a'), { role: 'tool', content: '' }], undefined, TypeError, 'messages[1].role must be'],
    ['content', [{ role: 'user' }], undefined, TypeError, 'messages[0].content must be a string'],
    ['a field', [{ ...user('a'), nmae: 1 }], undefined, TypeError, "messages[0] has no 'nmae'"],
    ['an option', [user('a')], { mode: 'task' }, TypeError, "options has no 'mode'"],
    ['variables', [user('a')], { templateVariables: [] }, TypeError, 'templateVariables must be an object'],
    [
      'code',
      [user('a')],
      { templateVariables: { f() {} } },
      TypeError,
      'templateVariables must be plain data',
    ],
    ['a number', [user('a')], { maxNewTokens: -1 }, RangeError, 'maxNewTokens'],
  ];
  test.each(wrong)('refuses %s', async (_, messages, options, type, part) => {
    const model = await load();
    const answer = model.chat(messages as ChatMessage[], options as ChatOptions);
    await expect(answer).rejects.toThrow(type);
    await expect(model.chat(messages as ChatMessage[], options as ChatOptions)).rejects.toThrow(part);
    expect(sessionOf().batches).toEqual([]);
  });

  test('refuses a conversation that is too long, and says how long', async () => {
    const model = await load();
    const long = [user('x'.repeat(600))];
    await expect(model.chat(long)).rejects.toThrow(
      'the prompt has 619 tokens and 1 more are needed, but the model attends to 512',
    );
    await expect(model.chat([user('x'.repeat(400))], { maxNewTokens: 200 })).rejects.toThrow(
      'the canvas would have 619 tokens, but the model attends to 512: maxNewTokens may be 93 at most here',
    );
  });

  test('passes on what a template says', async () => {
    const picky = await load({ template: "{{ raise_exception('users only') }}" });
    await expect(picky.chat([user('Hi')])).rejects.toMatchObject({
      name: 'RND1Error',
      code: 'chat_template_failed',
      message: 'the chat template refuses the messages: users only',
    });
    const broken = await load({ template: '{% for %}' });
    await expect(broken.chat([user('Hi')])).rejects.toMatchObject({
      code: 'invalid_checkpoint',
      message: expect.stringContaining('its chat template cannot be parsed'),
    });
  });

  test('ends a template that takes too long, and a call that is aborted', async () => {
    const endless = '{% for i in range(30000) %}{% for j in range(30000) %}{% endfor %}{% endfor %}';
    const model = await load({ template: endless }, {}, { promptTimeout: 0.2 });
    await expect(model.chat([user('Hi')])).rejects.toMatchObject({ code: 'chat_template_failed' });
    const slow = await load({ template: endless }, {}, { promptTimeout: 60 });
    const early = new AbortController();
    const reading = slow.chat([user('Hi')], { signal: early.signal });
    let read = false;
    const kind = slow.chatPrompts.kind().then(() => {
      read = true;
    });
    await new Promise(setImmediate);
    early.abort(new Error('at once'));
    await expect(reading).rejects.toThrow('at once');
    expect(read).toBe(false);
    await kind;
    const controller = new AbortController();
    const aborted = slow.chat([user('Hi')], { signal: controller.signal });
    await new Promise(setImmediate);
    controller.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    const pending = slow.chat([user('Hi')]).catch((error: unknown) => error);
    await new Promise(setImmediate);
    await slow.dispose();
    expect(await pending).toMatchObject({ code: 'disposed' });
  });
});

describe('without a template', () => {
  test('a base model says what it is', async () => {
    const model = await loadNano();
    models.push(model);
    const missing = { name: 'RND1Error', code: 'chat_template_missing' };
    for (const call of [() => model.chat([user('Hi')]), () => model.generate('Hi', { mode: 'chat' })]) {
      await expect(call()).rejects.toMatchObject(missing);
    }
    await expect(model.chat([user('Hi')])).rejects.toThrow(
      `${nano} has no chat template: it is a base model, which continues texts. Use generate, or an instruct model such as`,
    );
  });

  test('the family’s is taken where its markers are tokens', async () => {
    const model = await load({ template: null });
    await model.chat(conversation, few);
    expect(prompt()).toEqual(ids(rendered));
    expect(await model.chatPrompts.kind()).toBe('family');
    const strange = await load(
      { template: null },
      { 'tokenizer.json': String(instructTwin()['tokenizer.json']).replace('<|role_end|>', '<|other|>') },
    );
    await expect(strange.chat(conversation)).rejects.toMatchObject({ code: 'chat_template_missing' });
    expect(strange.config.tokens.eosTokenIds).toEqual([372]);
  });
});

describe('the end of a turn', () => {
  test('is not added to ids that are given', async () => {
    const model = await load({}, {}, { specialTokens: { eos: 7 } });
    expect(model.config.tokens.eosTokenIds).toEqual([7]);
    const none = await load({}, {}, { specialTokens: { eos: null } });
    expect(none.config.tokens.eosTokenIds).toEqual([]);
  });

  test('is added once', async () => {
    const model = await load({ config: { eos_token_id: [371, 372] } });
    expect(model.config.tokens.eosTokenIds).toEqual([371, 372]);
  });
});

describe('generate', () => {
  const task = 'Question: Hi\nAnswer:';
  const own = { 'generation_config.json': JSON.stringify({ task_template: 'Q {prompt} A' }) };
  const jinja = { 'chat_template.jinja': '[{{ messages[0].content }}]' };
  const cases: [string, TwinOptions, Files, object, string][] = [
    ['makes a prompt the user’s turn if there is a template', {}, {}, {}, hi],
    ['reads the template of a file of its own', { template: null }, jinja, {}, '[Hi]'],
    ['leaves it unchanged if there is none', { template: null }, {}, {}, 'Hi'],
    ['follows a task template first', {}, own, {}, 'Q Hi A'],
    ['uses no template if it is told so', {}, own, { mode: 'completion' }, 'Hi'],
    ['uses RND1’s task template if it is told so', {}, {}, { mode: 'task' }, task],
    ['uses the family’s template only if it is told so', { template: null }, {}, { mode: 'chat' }, hi],
  ];
  test.each(cases)('%s', async (_, twin, files, options, expected) => {
    const model = await load(twin, files);
    await model.generate('Hi', { ...few, ...options });
    expect(prompt()).toEqual(ids(expected));
  });

  test('asks RND1 in its task template, whatever its tokenizer comes with', async () => {
    const model = await loadNano();
    models.push(model);
    await model.generate('Hi', { maxNewTokens: 4 });
    expect([...(sessionOf().batches[0]?.[0]?.tokens ?? [])].slice(0, task.length)).toEqual(ids(task));
    expect(model.chatPrompts.pending).toBe(0);
  });

  test('an empty prompt has no form', async () => {
    const model = await load();
    await model.generate('', few);
    expect(prompt()).toEqual([twinTokens['<|endoftext|>']]);
  });

  test('keeps the white space of an answer to a message', async () => {
    native.model = writes(' A \n<|role_end|>');
    const model = await load();
    expect((await model.generate('Hi', few)).text).toBe(' A \n');
    expect((await model.generate('Hi', { ...few, mode: 'task' })).text).not.toBe(' A \n');
  });
});

test('the server’s chat endpoint sends the same canvas and returns the same text', async () => {
  native.model = writes('Blue.<|role_end|>junk');
  const model = await load();
  const { text } = await model.chat(conversation, { maxNewTokens: 16, seed: 1 });
  const sent = [...canvas()];
  const server = await createServer(model, { page: false });
  const payload = { messages: conversation, max_tokens: 16, seed: 1 };
  const { statusCode, body } = await server.app.inject({
    method: 'POST',
    url: '/v1/chat/completions',
    payload,
  });
  expect(statusCode).toBe(200);
  expect(JSON.parse(body).choices[0]).toMatchObject({ message: { content: text }, finish_reason: 'stop' });
  expect([...canvas()]).toEqual(sent);
  await server.close();
});

test('a model without a tokenizer says so', async () => {
  const folder = join(__dirname, '../..', 'fixtures', 'families', 'tiny-llada-moe');
  const model = await DiffusionLM.load(folder);
  models.push(model);
  await expect(model.chat([user('Hi')])).rejects.toMatchObject({ code: 'tokenizer_missing' });
});
