import { join } from 'node:path';
import { ChatPrompts } from '../../../lib/chat/chat-prompts';
import { TextWorkers, tryTokenizer } from '../../../lib/checkpoint/tokenizer/text-workers';
import { Tokenizer } from '../../../lib/checkpoint/tokenizer/tokenizer';
import type { threadFile } from '../../../lib/worker/thread-file';
import { failure } from '../checkpoint/files';

// As in a bundle without an installed rnd1.
jest.mock('../../../lib/worker/thread-file', () => ({ threadFile: jest.fn(() => null) }));

const nano = join(__dirname, '../..', '..', 'models', 'nano');

test('the files of threads are found from the sources', () => {
  const { threadFile: real } = jest.requireActual('../../../lib/worker/thread-file') as {
    threadFile: typeof threadFile;
  };
  expect(real('checkpoint/tokenizer/tokenizer-thread')).toMatch(
    /dist.checkpoint.tokenizer.tokenizer-thread\.js$/,
  );
  expect(real('chat/template-thread')).toMatch(/dist.chat.template-thread\.js$/);
  expect(real('worker/nothing' as 'checkpoint/tokenizer/tokenizer-thread')).toBeNull();
});

test('without them texts are tokenized on this thread, long ones with a warning, and nothing starts', async () => {
  const tokenizer = (await Tokenizer.load(nano)) as Tokenizer;
  const workers = new TextWorkers({ tokenizer, folder: nano, vocabulary: undefined, limit: 1 });
  const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
  expect(await workers.encode(['short'])).toEqual([tokenizer.encode('short')]);
  expect(warn).not.toHaveBeenCalled();
  const long = 'long '.repeat(4000);
  for (let i = 0; i < 2; i++) expect(await workers.encode([long])).toEqual([tokenizer.encode(long)]);
  expect(warn).toHaveBeenCalledTimes(1);
  expect(warn).toHaveBeenCalledWith(expect.stringContaining('without a time limit'), expect.anything());
  warn.mockRestore();
  expect(await failure(() => workers.start(), 'unsupported_model')).toContain('keep rnd1 out of the bundle');
  await failure(() => tryTokenizer(nano, 264), 'unsupported_model');
  workers.close();
});

test('without them messages are rendered on this thread, with a warning, and a server does not start', async () => {
  const warn = jest.spyOn(process, 'emitWarning').mockImplementation(() => {});
  const prompts = new ChatPrompts({
    folder: nano,
    choice: { template: '{{ messages[0].content }}{{ mood }}' },
    familyTemplate: null,
    taskTemplate: '{prompt}',
    limit: 1,
    closed: () => new Error('closed'),
  });
  expect(await prompts.kind()).toBe('template');
  for (let i = 0; i < 2; i++) {
    expect(await prompts.render([{ role: 'user', content: 'Hi' }], { mood: '!' })).toBe('Hi!');
  }
  expect(warn).toHaveBeenCalledTimes(1);
  expect(warn).toHaveBeenCalledWith(expect.stringContaining('on the calling thread'), {
    code: 'RND1_NO_THREADS',
  });
  warn.mockRestore();
  expect(await failure(() => prompts.start(), 'unsupported_model')).toContain(
    'install rnd1 beside the bundle',
  );
  prompts.close();
});
