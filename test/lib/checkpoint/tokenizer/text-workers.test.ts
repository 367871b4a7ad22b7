import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as textWorkers from '../../../../lib/checkpoint/tokenizer/text-workers';
import { Tokenizer } from '../../../../lib/checkpoint/tokenizer/tokenizer';
import type { RND1Error } from '../../../../lib/support/errors';
import { failure, temporaryFolder } from '../files';

const { TextWorkers, tryTokenizer } = textWorkers;

const nano = join(__dirname, '../../..', '..', 'models', 'nano');
const definition = JSON.parse(readFileSync(join(nano, 'tokenizer.json'), 'utf8'));

/** Takes exponential time for many a's followed by another character. */
const pattern = { Regex: '^(a+)+$' };
const endless = `${'a'.repeat(60)}!`;

function folderWith(changes: object): string {
  return temporaryFolder({ 'tokenizer.json': JSON.stringify({ ...definition, ...changes }) });
}

const splitting = () =>
  folderWith({
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern, behavior: 'Isolated', invert: false },
        definition.pre_tokenizer,
      ],
    },
  });

const open: textWorkers.TextWorkers[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

async function workersFor(folder: string, limit = 60) {
  const tokenizer = (await Tokenizer.load(folder)) as Tokenizer;
  const workers = new TextWorkers({ tokenizer, folder, vocabulary: undefined, limit });
  open.push(workers);
  return { tokenizer, workers };
}

test('texts of every length get the same tokens as from the tokenizer', async () => {
  const { tokenizer, workers } = await workersFor(nano);
  const texts = ['', 'short', 'é 🧬 <|mask|>', 'long '.repeat(5000), 'short'];
  const expected = texts.map((text) => tokenizer.encode(text));
  expect(await workers.encode(texts)).toEqual(expected);
  expect(await workers.encode([])).toEqual([]);
  await workers.start();
  expect(await workers.encode(texts)).toEqual(expected);
  for (const ids of await workers.encode(texts)) expect(ids).toBeInstanceOf(Int32Array);
  expect(workers.pending).toBe(0);
});

test('the calling thread tokenizes only short texts, with known patterns, before a start', async () => {
  const { tokenizer, workers } = await workersFor(nano);
  const encode = jest.spyOn(tokenizer, 'encode');
  await workers.encode(['a'.repeat(8192)]);
  expect(encode).toHaveBeenCalledTimes(1);
  await workers.encode(['b'.repeat(8193)]);
  await workers.encode(['c'.repeat(5000), 'd'.repeat(5000)]);
  await workers.start();
  await workers.encode(['e']);
  expect(encode).toHaveBeenCalledTimes(1);
  const unknown = await workersFor(splitting());
  const other = jest.spyOn(unknown.tokenizer, 'encode');
  await unknown.workers.encode(['b']);
  expect(other).not.toHaveBeenCalled();
});

test('a text that takes too long fails with its code, and a long one does not delay short ones', async () => {
  const { workers } = await workersFor(splitting(), 3);
  const lost: string[] = [];
  const forget = workers.onLost((reason) => void lost.push(reason));
  await workers.start();
  const long = workers.encode([endless.repeat(1), 'b'.repeat(9000)]).catch((error: RND1Error) => error);
  const short = await workers.encode(['short']);
  expect([...(short[0] as Int32Array)]).toEqual([...Buffer.from('short')]);
  expect(workers.pending).toBe(1);
  expect(await long).toMatchObject({
    name: 'RND1Error',
    code: 'prompt_too_expensive',
    message: 'tokenizing the text took more than 3 s',
  });
  expect(lost).toEqual(['time']);
  forget();
  expect(await failure(() => workers.encode([endless]), 'prompt_too_expensive')).toContain('3 s');
  expect(lost).toEqual(['time']);
  expect(await workers.encode(['short again'])).toHaveLength(1);
});

test('the same prompt is not tokenized again', async () => {
  const { workers } = await workersFor(nano);
  const text = 'x'.repeat(200_000);
  const [first] = await workers.encode([text]);
  const [second] = await workers.encode([text]);
  expect(second).toBe(first);
  for (let i = 0; i < 6; i++) await workers.encode([`${i}${text}`]);
  expect((await workers.encode([text]))[0]).not.toBe(first);
});

test('an error of the tokenizer is passed on unchanged', async () => {
  const folder = temporaryFolder({
    'tokenizer.json': JSON.stringify({
      ...definition,
      added_tokens: [],
      pre_tokenizer: { type: 'Split', pattern: { Regex: '\\s+' }, behavior: 'Removed', invert: false },
      model: { type: 'WordPiece', vocab: { a: 0 }, unk_token: '[UNK]', continuing_subword_prefix: '##' },
    }),
  });
  const { tokenizer, workers } = await workersFor(folder);
  const message = await failure(() => tokenizer.encode('ab'), 'invalid_checkpoint');
  expect(await failure(() => workers.encode(['ab']), 'invalid_checkpoint')).toBe(message);
});

test('a signal or close rejects a waiting call', async () => {
  const { workers } = await workersFor(splitting());
  const controller = new AbortController();
  const aborted = workers.encode([endless], controller.signal);
  controller.abort(new Error('gone'));
  await expect(aborted).rejects.toThrow('gone');
  const pending = workers.encode(['behind it']).catch((error: RND1Error) => error);
  workers.close();
  expect(await pending).toMatchObject({ code: 'disposed' });
  await failure(() => workers.encode(['later']), 'disposed');
});

test('without a tokenizer there is nothing to start', async () => {
  const workers = new TextWorkers({ tokenizer: null, folder: nano, vocabulary: undefined, limit: 1 });
  await workers.start();
  expect(workers.pending).toBe(0);
});

describe('a normalizer that searches for patterns', () => {
  const normalizer = { type: 'Replace', pattern, content: 'b' };
  const added = (content: string) => [
    ...definition.added_tokens,
    { id: 260, content, special: false, normalized: true },
  ];

  test('must process the added tokens in a thread first', async () => {
    const folder = folderWith({ normalizer, added_tokens: added(endless) });
    await expect(tryTokenizer(folder, 264, 1)).rejects.toThrow('building the tokenizer took more than 1 s');
    const tried = jest
      .spyOn(textWorkers, 'tryTokenizer')
      .mockImplementation((place, vocabulary) => tryTokenizer(place, vocabulary, 1));
    const message = await failure(() => Tokenizer.load(folder, 264), 'invalid_checkpoint');
    expect(message).toBe(
      `${join(folder, 'tokenizer.json')} cannot be used: building the tokenizer took more than 1 s`,
    );
    expect(tried).toHaveBeenCalledTimes(1);
    tried.mockRestore();
  });

  test('is used if it does', async () => {
    const tokenizer = await Tokenizer.load(folderWith({ normalizer, added_tokens: added('harmless') }), 264);
    expect([...(tokenizer?.encode('aaa') ?? [])]).toEqual([...Buffer.from('b')]);
  });
});
