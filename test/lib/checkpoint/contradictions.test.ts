import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DiffusionLM, inspectCheckpoint } from '../../../lib/index';
import { load, nano } from '../diffusion-lm/nano-model';
import { failure, safetensors, temporaryFolder } from './files';

jest.mock('../../../lib/runtime/binding');

type Json = ReturnType<typeof JSON.parse>;

/** A copy of nano with some of its JSON files changed; null removes one. */
function copyWith(changes: Record<string, ((json: Json) => unknown) | null> = {}): string {
  const folder = temporaryFolder();
  cpSync(nano, folder, { recursive: true });
  for (const [name, change] of Object.entries(changes)) {
    const path = join(folder, name);
    const json = JSON.parse(readFileSync(path, 'utf8'));
    change?.(json);
    if (change === null) rmSync(path);
    else writeFileSync(path, JSON.stringify(json));
  }
  return folder;
}

/** The warnings about a folder, without its path; expects the same from loading and inspecting. */
async function warningsOf(folder: string): Promise<string[]> {
  const { warnings } = await inspectCheckpoint(folder);
  const model = await DiffusionLM.load(folder);
  expect(model.info.warnings).toEqual(warnings);
  return warnings.map((warning) => warning.replaceAll(`${folder}/`, ''));
}

const refusal = (folder: string) => failure(() => inspectCheckpoint(folder), 'invalid_checkpoint');

test('the embedded model has no contradictions', async () => {
  expect(await warningsOf(nano)).toEqual([]);
  expect((await load()).info.warnings).toEqual([]);
});

describe('special tokens', () => {
  test.each([
    ['eos_token_id', 'config.json', 259],
    ['eos_token_id', 'generation_config.json', [258, 259]],
    ['pad_token_id', 'generation_config.json', 259],
    ['bos_token_id', 'config.json', 259],
  ])('mask that is %s of %s is refused', async (key, file, value) => {
    const folder = copyWith({
      'generation_config.json': null,
      ...(file === 'config.json'
        ? {}
        : { 'generation_config.json': (json: Json) => Object.assign(json, { [key]: value }) }),
      ...(file === 'config.json'
        ? { 'config.json': (json: Json) => Object.assign(json, { [key]: value }) }
        : {}),
    });
    expect(await refusal(folder)).toBe(`${join(folder, 'config.json')}: mask_token_id 259 is ${key}, too`);
  });

  test('that the two configurations disagree about are those of generation_config.json', async () => {
    const folder = copyWith({
      'generation_config.json': (json) => Object.assign(json, { mask_token_id: 260, pad_token_id: 257 }),
      'tokenizer_config.json': (json) => Object.assign(json, { mask_token: null, pad_token: null }),
    });
    expect(await warningsOf(folder)).toEqual([
      'generation_config.json: mask_token_id 260 is taken, not 259 of config.json',
      'generation_config.json: pad_token_id 257 is taken, not 256 of config.json',
    ]);
  });

  test.each([
    [[258, 256], []],
    [[256], ['generation_config.json: eos_token_id 256 is taken, not 258 of config.json']],
  ])('ends of text may be more than in config.json: %j', async (eos, expected) => {
    const folder = copyWith({
      'generation_config.json': (json) => Object.assign(json, { eos_token_id: eos }),
      'tokenizer_config.json': (json) => Object.assign(json, { eos_token: null }),
    });
    expect(await warningsOf(folder)).toEqual(expected);
  });

  test('of tokenizer_config.json give way to those of the configuration', async () => {
    const folder = copyWith({
      'tokenizer_config.json': (json) =>
        Object.assign(json, { mask_token: '<|im_start|>', eos_token: { content: '<|endoftext|>' } }),
    });
    expect(await warningsOf(folder)).toEqual([
      'config.json: mask_token_id 259 is taken; mask_token of tokenizer_config.json is 257',
      'config.json: eos_token_id 258 is taken; eos_token of tokenizer_config.json is 256',
    ]);
  });

  test('that tokenizer.json does not have are ignored', async () => {
    const folder = copyWith({
      'tokenizer_config.json': (json) => Object.assign(json, { mask_token: '<|none|>' }),
    });
    expect(await warningsOf(folder)).toEqual([
      'tokenizer_config.json: mask_token "<|none|>" is no token of tokenizer.json, and ignored',
    ]);
  });
});

describe('tokens and ids', () => {
  const added = (content: string, id: number) => ({ id, content, special: true });

  test.each<[string, (json: Json) => unknown, string]>([
    [
      'two of the vocabulary',
      (json) => Object.assign(json.model.vocab, { twin: 65 }),
      'and "twin" have the same id, 65',
    ],
    [
      'an added one',
      (json) => json.added_tokens.push(added('<|x|>', 65)),
      'and "<|x|>" have the same id, 65',
    ],
    [
      'two added ones',
      (json) => json.added_tokens.push(added('<|x|>', 259)),
      '"<|mask|>" and "<|x|>" have the same id, 259',
    ],
    [
      'two ids for one',
      (json) => json.added_tokens.push(added('<|mask|>', 260)),
      '"<|mask|>" has two ids, 259 and 260',
    ],
    [
      'two ids in two places',
      (json) => Object.assign(json.model.vocab, { '<|mask|>': 260 }),
      '"<|mask|>" has two ids, 260 and 259',
    ],
    [
      'more than the embedding',
      (json) => json.added_tokens.push(added('<|x|>', 264)),
      '"<|x|>" has id 264, vocab_size is 264',
    ],
  ])('%s: refused', async (_, change, problem) => {
    const folder = copyWith({ 'tokenizer.json': change });
    const message = await refusal(folder);
    expect(message).toContain(`${join(folder, 'tokenizer.json')} cannot be used: token`);
    expect(message).toContain(problem);
  });

  test.each<[string, string, (json: Json) => unknown]>([
    ['model.vocab', 'tokenizer.json', (json) => Object.assign(json, { model: null })],
    ['model.vocab', 'tokenizer.json', (json) => Object.assign(json.model, { vocab: 'x' })],
    ['model.merges', 'tokenizer.json', (json) => Object.assign(json.model, { merges: null })],
    ['model.merges', 'tokenizer.json', (json) => Object.assign(json.model, { merges: [['a', 'b', 'c']] })],
    ['added_tokens', 'tokenizer.json', (json) => Object.assign(json, { added_tokens: {} })],
    ['added_tokens', 'tokenizer.json', (json) => json.added_tokens.push(null)],
    ['added_tokens', 'tokenizer.json', (json) => json.added_tokens.push({ id: 260 })],
    [
      'added_tokens_decoder of tokenizer_config.json',
      'tokenizer_config.json',
      (json) => Object.assign(json, { added_tokens_decoder: ['<|x|>'] }),
    ],
    [
      'added_tokens_decoder of tokenizer_config.json',
      'tokenizer_config.json',
      (json) => Object.assign(json.added_tokens_decoder, { 260: '<|x|>' }),
    ],
  ])('of another kind are refused: %s', async (key, name, change) => {
    const folder = copyWith({ [name]: change });
    expect(await refusal(folder)).toContain(
      `${join(folder, 'tokenizer.json')} cannot be used: ${key} must be`,
    );
  });

  test('the same token in both places is one', async () => {
    const folder = copyWith({
      'tokenizer.json': (json) => Object.assign(json.model.vocab, { '<|mask|>': 259 }),
    });
    expect(await warningsOf(folder)).toEqual([]);
  });

  test('of tokenizer_config.json give way to tokenizer.json', async () => {
    const folder = copyWith({
      'tokenizer_config.json': ({ added_tokens_decoder: tokens }) => {
        tokens['260'] = tokens['257'];
        delete tokens['257'];
        tokens['261'] = { content: 'A', special: false };
      },
    });
    expect(await warningsOf(folder)).toEqual(
      [
        ' tokenizer_config.json has "<|im_start|>" as 260, tokenizer.json as 257, which is taken',
        ' tokenizer_config.json has "A" as 261, tokenizer.json as 65, which is taken',
      ].map((warning) => `${folder}:${warning}`),
    );
    const { tokenizer } = await DiffusionLM.load(folder);
    expect([...(tokenizer?.encode('A<|im_start|>') ?? [])]).toEqual([65, 257]);
  });

  test('of tokenizer_config.json alone need an id that is free', async () => {
    const decoder =
      (id: string) =>
      ({ added_tokens_decoder: tokens }: Json) =>
        Object.assign(tokens, { [id]: { content: '<|new|>', special: true } });
    const free = copyWith({ 'tokenizer_config.json': decoder('260') });
    expect(await warningsOf(free)).toEqual([]);
    expect((await DiffusionLM.load(free)).tokenizer?.idOf('<|new|>')).toBe(260);
    const taken = copyWith({ 'tokenizer_config.json': decoder('65') });
    expect(await refusal(taken)).toContain('and "<|new|>" have the same id, 65');
  });
});

test('a key that stands twice', async () => {
  const folder = copyWith();
  for (const name of ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json']) {
    const text = readFileSync(join(nano, name), 'utf8');
    writeFileSync(join(folder, name), text.replace('{', '{"twice": 1, "twice": 1,'));
    expect(await warningsOf(folder)).toEqual([`${name}: the key "twice" occurs twice, with the same value`]);
    writeFileSync(join(folder, name), text.replace('{', '{"twice": 1, "twice": 2,'));
    expect(await refusal(folder)).toContain(`${name} is not valid JSON: the key "twice" occurs twice`);
    writeFileSync(join(folder, name), text);
  }
});

describe('a head that is tied to the embedding', () => {
  const INDEX = 'model.safetensors.index.json';
  const shard = 'model-00001-of-00001.safetensors';
  const file = readFileSync(join(nano, 'model.safetensors'));
  const start = 8 + Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, start).toString()) as Record<string, { data_offsets: number[] }>;
  const tied = () =>
    copyWith({ 'config.json': (json) => Object.assign(json, { tie_word_embeddings: true }) });

  /** The weights without the head, the embedding under the given name. */
  function headless(embedding = 'model.embed_tokens.weight'): Buffer {
    const { 'lm_head.weight': _, __metadata__: __, ...others } = header;
    let at = 0;
    const data: Buffer[] = [];
    const tensors = Object.entries(others).map(([name, tensor]) => {
      const [begin = 0, end = 0] = tensor.data_offsets;
      const offsets = [at, at + end - begin];
      at += end - begin;
      data.push(file.subarray(start + begin, start + end));
      return [name === 'model.embed_tokens.weight' ? embedding : name, { ...tensor, data_offsets: offsets }];
    });
    return Buffer.concat([safetensors(Object.fromEntries(tensors), 0), ...data]);
  }

  test('may be stored, and is ignored', async () => {
    const folder = tied();
    expect(await warningsOf(folder)).toEqual([
      `${folder}: lm_head.weight is ignored: tie_word_embeddings is true`,
    ]);
  });

  test('may be what is stored of the two', async () => {
    const [usual, other] = [tied(), tied()];
    writeFileSync(join(usual, 'model.safetensors'), headless());
    writeFileSync(join(other, 'model.safetensors'), headless('lm_head.weight'));
    expect(await warningsOf(other)).toEqual([]);
    const [expected, found] = await Promise.all([inspectCheckpoint(usual), inspectCheckpoint(other)]);
    expect(found).toMatchObject({ unknown: [], bytes: expected.bytes, parameters: expected.parameters });
    cpSync(join(nano, 'config.json'), join(other, 'config.json'));
    expect(await refusal(other)).toContain('are missing: "model.embed_tokens.weight"');
  });

  test('may be listed in an index and lie in no shard, unlike one that is not tied', async () => {
    const folder = tied();
    rmSync(join(folder, 'model.safetensors'));
    writeFileSync(join(folder, shard), headless());
    const names = Object.keys(header).filter((name) => name !== '__metadata__');
    const list = (names: string[]) =>
      writeFileSync(
        join(folder, INDEX),
        JSON.stringify({
          metadata: null,
          weight_map: Object.fromEntries(names.map((name) => [name, shard])),
        }),
      );
    list(names.filter((name) => name !== 'lm_head.weight'));
    expect(await warningsOf(folder)).toEqual([]);
    list(names);
    expect(await warningsOf(folder)).toEqual([
      `${INDEX}: 1 tensors are listed that no shard holds: "lm_head.weight" ("${shard}")`,
    ]);
    cpSync(join(nano, 'config.json'), join(folder, 'config.json'));
    expect(await refusal(folder)).toContain('are missing: "lm_head.weight"');
  });
});
