import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DiffusionLM } from '../../../lib/index';
import { temporaryFolder } from '../checkpoint/files';
import { all, nano, sessionOf } from './nano-model';

jest.mock('../../../lib/runtime/binding');

const read = (name: string) => readFileSync(join(nano, name));
const definition = JSON.parse(read('tokenizer.json').toString());

/** The embedded model with a tokenizer that takes exponential time for many a's followed by another character. */
function hostile(): string {
  const split = { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated', invert: false };
  const pre_tokenizer = { type: 'Sequence', pretokenizers: [split, definition.pre_tokenizer] };
  const rest = ['config.json', 'generation_config.json', 'model.safetensors'].map((name) => [
    name,
    read(name),
  ]);
  return temporaryFolder({
    ...Object.fromEntries(rest),
    'tokenizer.json': JSON.stringify({ ...definition, pre_tokenizer }),
  });
}

const endless = `${'a'.repeat(60)}!`;
const models: DiffusionLM[] = [];
afterEach(async () => {
  for (const model of models.splice(0)) await model.dispose();
});

async function loaded(promptTimeout: number): Promise<DiffusionLM> {
  const model = await DiffusionLM.load(hostile(), { promptTimeout });
  models.push(model);
  return model;
}

test('no text blocks the event loop, with any method', async () => {
  const model = await loaded(1);
  const calls: (() => Promise<unknown>)[] = [
    () => model.generate(endless),
    () => model.infill({ prefix: endless, length: 1 }),
    () => model.infill({ suffix: endless, length: 1 }),
    () => model.fill(`${endless}___`),
    () => model.fill([endless, { length: 1 }]),
    () => all(model.denoise(endless, { mode: 'completion' })),
  ];
  let turns = 0;
  const timer = setInterval(() => turns++, 10).unref();
  for (const call of calls) {
    turns = 0;
    await expect(call()).rejects.toMatchObject({ name: 'RND1Error', code: 'prompt_too_expensive' });
    expect(turns).toBeGreaterThan(5);
  }
  clearInterval(timer);
  expect((await model.generate('b', { maxNewTokens: 4, mode: 'completion' })).tokens).toHaveLength(5);
  expect(sessionOf().batches.length).toBeGreaterThan(0);
});

test('a signal or dispose rejects a call that waits for tokens', async () => {
  const model = await loaded(60);
  const controller = new AbortController();
  const aborted = model.generate(endless, { signal: controller.signal });
  controller.abort(new Error('enough'));
  await expect(aborted).rejects.toThrow('enough');
  const pending = model.generate(endless).catch((error) => error);
  await model.dispose();
  expect(await pending).toMatchObject({ name: 'RND1Error', code: 'disposed' });
});

test('nothing is tokenized before the first frame is requested', async () => {
  const model = await loaded(60);
  const frames = model.denoise(endless);
  expect(model.textWorkers.pending).toBe(0);
  const first = frames.next().catch((error) => error);
  await new Promise(setImmediate);
  expect(model.textWorkers.pending).toBe(1);
  await model.dispose();
  expect(await first).toMatchObject({ code: 'disposed' });
});

test.each([0, -1, Number.NaN, '5'])('promptTimeout cannot be %p', async (promptTimeout) => {
  await expect(DiffusionLM.load(nano, { promptTimeout: promptTimeout as number })).rejects.toThrow(
    'promptTimeout',
  );
});
