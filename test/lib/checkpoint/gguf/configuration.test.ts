import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DiffusionLM, inspectCheckpoint } from '../../../../lib';
import { readCheckpoint } from '../../../../lib/checkpoint/folder';
import { familyFolder, familyTokens } from '../../../support/families';
import { type ConvertOptions, convertCheckpoint } from '../../../support/gguf/convert';
import type { Metadata } from '../../../support/gguf/file';
import { failure, fixtures, temporaryFolder } from '../files';

/** Writes a checkpoint as model.gguf into a fresh folder. */
function converted(folder: string, options: Partial<ConvertOptions> = {}): string {
  const place = temporaryFolder();
  convertCheckpoint(folder, place, join(place, 'twin'), { type: 'F32', ...options });
  return place;
}

const wide = join(fixtures, 'tiny-moe');

describe.each([
  wide,
  ...(['tiny-llada', 'tiny-dream', 'tiny-llada-moe', 'tiny-qwen3-moe', 'tiny-qwen3'] as const).map(
    familyFolder,
  ),
])('%s', (folder) => {
  test('has the architecture and the special tokens of its config.json', async () => {
    const options = folder.endsWith('llada-moe') ? familyTokens('tiny-llada-moe') : {};
    const { config: expected } = await readCheckpoint(folder, options);
    const { config, warnings } = await readCheckpoint(converted(folder), options);
    expect(config.family).toBe(expected.family);
    expect(config.architecture).toEqual(expected.architecture);
    expect(config.tokens.maskTokenId).toBe(expected.tokens.maskTokenId);
    expect(config.tokens.padTokenId).toBe(expected.tokens.padTokenId);
    expect(warnings).toEqual([]);
  });
});

describe('metadata', () => {
  const refused = (code: 'invalid_checkpoint' | 'unsupported_model', metadata: Metadata, folder = wide) =>
    failure(() => readCheckpoint(converted(folder, { metadata })), code);

  test.each<readonly [string, Metadata[string], string]>([
    ['general.architecture', { text: 'llama' }, 'general.architecture "llama" is not supported (only "rnd1"'],
    ['rnd1.attention.causal', { bool: true }, 'rnd1.attention.causal true is not supported (only false)'],
    ['rnd1.rope.scaling.type', { text: 'yarn' }, 'rnd1.rope.scaling.type "yarn"'],
    ['rnd1.rope.dimension_count', { u32: 8 }, 'rnd1.rope.dimension_count 8'],
    ['rnd1.attention.sliding_window', { u32: 128 }, 'rnd1.attention.sliding_window 128'],
    ['rnd1.expert_gating_func', { u32: 2 }, 'rnd1.expert_gating_func 2'],
    ['rnd1.expert_shared_count', { u32: 1 }, 'rnd1.expert_shared_count 1'],
    ['diffusion.shift_logits', { bool: false }, 'diffusion.shift_logits false'],
  ])('%s is refused if it is not what the graph does', async (key, value, message) => {
    const text = await refused('unsupported_model', { [key]: value });
    expect(text).toContain(message);
    expect(text).toContain('model.gguf');
  });

  test('of a wrong type or size names the key', async () => {
    expect(await refused('invalid_checkpoint', { 'rnd1.block_count': { text: '3' } })).toContain(
      'rnd1.block_count must be a number, not "3"',
    );
    expect(await refused('invalid_checkpoint', { 'rnd1.attention.head_count': { i32s: [4, 4] } })).toContain(
      'rnd1.attention.head_count must be a number, not [4,4]',
    );
    expect(await refused('invalid_checkpoint', { 'rnd1.expert_used_count': { u32: 99 } })).toContain('99');
    expect(await refused('invalid_checkpoint', { 'rnd1.embedding_length': { u32: 96 } })).toContain(
      'tensor "token_embd.weight" has shape [512, 64], the configuration needs [512, 96]',
    );
  });

  test('may name two tokens that end a text', async () => {
    const { config } = await readCheckpoint(
      converted(wide, { metadata: { 'tokenizer.ggml.eot_token_id': { u32: 9 } } }),
    );
    expect(config.tokens.eosTokenIds).toEqual([5, 9]);
  });
});

describe('tensors', () => {
  /** Replaces the name of a tensor by another one of the same length. */
  function renamed(from: string, to: string): string {
    const folder = converted(wide);
    const path = join(folder, 'model.gguf');
    const bytes = readFileSync(path);
    bytes.write(to, bytes.indexOf(from));
    writeFileSync(path, bytes);
    return folder;
  }

  test('that are missing are named', async () => {
    const text = await failure(
      () => readCheckpoint(renamed('blk.1.attn_v', 'blk.1.attn_w')),
      'invalid_checkpoint',
    );
    expect(text).toContain('"blk.1.attn_v.weight"');
    const experts = renamed('blk.1.ffn_up_exps', 'blk.1.ffn_up_expo');
    expect(await failure(() => readCheckpoint(experts), 'invalid_checkpoint')).toContain(
      '"blk.1.ffn_up_exps.0.weight"',
    );
    const embedding = renamed('token_embd', 'token_embc');
    expect(await failure(() => readCheckpoint(embedding), 'invalid_checkpoint')).toContain(
      '"token_embd.weight" is missing',
    );
  });

  test('that a layer would have besides are refused', async () => {
    const folder = converted(familyFolder('tiny-qwen3'));
    const path = join(folder, 'model.gguf');
    const bytes = readFileSync(path);
    // The tensor is needed no more, and another one is there.
    bytes.write('blk.9.attn_q_norm', bytes.indexOf('blk.1.attn_q_norm'));
    writeFileSync(path, bytes);
    await failure(() => readCheckpoint(folder), 'invalid_checkpoint');
  });

  test.each([
    [13, 'Q5_K'],
    [20, 'IQ4_NL'],
  ])('of type %d are refused by name', async (number, name) => {
    const folder = converted(join(fixtures, 'tiny-wide'), { type: number === 13 ? 'F32' : 'Q4_0' });
    const path = join(folder, 'model.gguf');
    const bytes = readFileSync(path);
    const start = bytes.indexOf('blk.0.attn_output.weight') + 'blk.0.attn_output.weight'.length;
    bytes.writeUInt32LE(number, start + 4 + 16);
    writeFileSync(path, bytes);
    // Q5_K has fewer bytes than F32: the gap is found first.
    const text = await failure(() => readCheckpoint(folder), 'invalid_checkpoint');
    expect(text).toContain(
      number === 13 ? 'belong to no tensor' : `is ${name}, which is none of F32, F16, BF16, Q8_0`,
    );
  });
});

describe('a folder', () => {
  test('that holds one GGUF file is that file, and inspected', async () => {
    const folder = converted(wide, { type: 'Q8_0' });
    const report = await inspectCheckpoint(folder);
    expect(report).toMatchObject({ weights: 'q8', dtype: 'bf16', tokenizer: false, unknown: [] });
    expect(report.metadata.get('general.architecture')).toBe('rnd1');
    expect(report.files.map(({ path }) => path)).toEqual([join(folder, 'model.gguf')]);
    expect((await inspectCheckpoint(join(folder, 'model.gguf'))).parameters).toEqual(report.parameters);
  });

  test('with safetensors files is those, with several GGUF files nothing', async () => {
    const folder = converted(wide);
    expect((await inspectCheckpoint(join(folder, 'twin'))).files[0]?.path).toMatch(/safetensors$/);
    writeFileSync(join(folder, 'other.gguf'), '');
    const text = await failure(() => inspectCheckpoint(folder), 'invalid_checkpoint');
    expect(text).toContain('holds several models, name one: "model.gguf", "other.gguf"');
  });

  test('is not needed: files of other names are refused', async () => {
    const folder = temporaryFolder({ 'model.bin': 'x' });
    await failure(() => DiffusionLM.load(join(folder, 'model.bin')), 'io');
    expect(await failure(() => DiffusionLM.load('nowhere/model.gguf'), 'io')).toContain('a GGUF file');
  });
});
