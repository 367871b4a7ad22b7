import { join } from 'node:path';
import { type ModelConfig, readConfig } from '../../../lib/checkpoint/config';
import { rnd1Architecture } from './architectures';
import { failure, fixtures, temporaryFolder } from './files';
import { read, TINY } from './tiny-config';

const thetaOf = ({ architecture }: ModelConfig) => architecture.layers[0]?.attention.ropeTheta;

describe('a configuration', () => {
  test('gives every size of the golden checkpoint', async () => {
    const config = await readConfig(join(fixtures, 'tiny-moe'));
    expect(config.family).toBe('rnd1');
    expect(config.architecture).toEqual(
      rnd1Architecture({
        layers: 3,
        hidden: 64,
        heads: 4,
        keyValueHeads: 2,
        headDim: 32,
        experts: 8,
        expertsPerToken: 2,
        expertWidth: 48,
        vocabulary: 512,
        maxPositions: 4096,
        ropeTheta: 1e6,
        normTopkProb: true,
      }),
    );
    expect(config.tokens).toEqual({ maskTokenId: 7, eosTokenIds: [5], padTokenId: 3, bosTokenId: null });
    expect(config.generation).toEqual({ steps: 64 });
    expect(config.declaredDtype).toBe('float32');
    expect(config.raw).toEqual(TINY);
    expect(config.rawGeneration).toEqual({ bos_token_id: null, eos_token_id: 5, pad_token_id: 3 });
  });

  test('of RND1’s own sizes is accepted', async () => {
    const { architecture, tokens, generation, declaredDtype } = await read(
      {
        head_dim: 128,
        hidden_size: 2048,
        intermediate_size: 6144,
        max_position_embeddings: 40960,
        max_window_layers: 48,
        moe_intermediate_size: 768,
        num_attention_heads: 32,
        num_experts: 128,
        num_experts_per_tok: 8,
        num_hidden_layers: 48,
        num_key_value_heads: 4,
        num_diffusion_steps: 256,
        vocab_size: 151936,
        eos_token_id: 151645,
        pad_token_id: 151643,
        mask_token_id: 151669,
        dtype: undefined,
        torch_dtype: 'bfloat16',
      },
      { eos_token_id: [151645, 151643], pad_token_id: 151643, max_length: 256 },
    );
    expect(architecture).toMatchObject({ hidden: 2048, vocabulary: 151936 });
    expect(architecture.layers).toHaveLength(48);
    expect(architecture.layers[47]?.mlp).toMatchObject({ experts: 128, width: 768 });
    expect(tokens).toEqual({
      maskTokenId: 151669,
      eosTokenIds: [151645, 151643],
      padTokenId: 151643,
      bosTokenId: null,
    });
    expect(generation).toEqual({ steps: 256 });
    expect(declaredDtype).toBe('bfloat16');
  });

  test('may be another file of the folder', async () => {
    const folder = join(fixtures, 'tiny-wide');
    const normalises = ({ architecture }: ModelConfig) => architecture.layers[0]?.mlp;
    expect(normalises(await readConfig(folder))).toMatchObject({ router: { normalise: true } });
    const other = await readConfig(folder, { configFile: 'config-nonorm.json' });
    expect(normalises(other)).toMatchObject({ router: { normalise: false } });
    expect(await failure(() => readConfig(folder, { configFile: 'no.json' }), 'invalid_checkpoint')).toBe(
      `${folder} has no no.json`,
    );
  });

  test('ties the head when it says so', async () => {
    expect((await read({ tie_word_embeddings: true })).architecture.tiedHead).toBe(true);
    expect((await read({ tie_word_embeddings: undefined })).architecture.tiedHead).toBe(false);
  });

  test('may have θ in rope_parameters', async () => {
    const parameters = { rope_type: 'default', rope_theta: 5e5, factor: null };
    const moved = await read({ rope_theta: undefined, rope_parameters: parameters });
    expect(thetaOf(moved)).toBe(5e5);
    expect(thetaOf(await read({ rope_theta: 5e5, rope_parameters: parameters }))).toBe(5e5);
    expect(thetaOf(await read({ rope_parameters: { rope_type: 'default' } }))).toBe(1e6);
    const message = await failure(() => read({ rope_parameters: parameters }), 'invalid_checkpoint');
    expect(message).toContain('rope_theta must be the 500000 of rope_parameters, not 1000000');
    const text = { rope_parameters: { rope_theta: '1e6' } };
    expect(await failure(() => read(text), 'invalid_checkpoint')).toContain(
      'rope_parameters: rope_theta must be a number above 0, not "1e6"',
    );
  });
});

describe('a missing or malformed configuration', () => {
  test('is named', async () => {
    const folder = temporaryFolder();
    expect(await failure(() => readConfig(folder), 'invalid_checkpoint')).toBe(
      `${folder} has no config.json`,
    );
    expect(await failure(() => readConfig(join(folder, 'nowhere')), 'io')).toContain('nowhere');
  });

  test.each([
    ['no JSON', '{"a": ', 'is not valid JSON'],
    ['a list', '[]', 'does not hold a JSON object'],
    ['null', 'null', 'does not hold a JSON object'],
    ['bytes that are no text', Uint8Array.of(0x7b, 0xff, 0x7d), 'is not UTF-8 text'],
    ['nothing', '', 'is not valid JSON'],
  ])('that holds %s', async (_, content, problem) => {
    const folder = temporaryFolder({ 'config.json': content });
    const message = await failure(() => readConfig(folder), 'invalid_checkpoint');
    expect(message).toContain(join(folder, 'config.json'));
    expect(message).toContain(problem);
  });

  test('may begin with a byte order mark', async () => {
    const folder = temporaryFolder({ 'config.json': `\uFEFF${JSON.stringify(TINY)}` });
    expect((await readConfig(folder)).architecture.layers).toHaveLength(3);
  });

  const REQUIRED = [
    'model_type',
    'num_hidden_layers',
    'hidden_size',
    'num_attention_heads',
    'num_key_value_heads',
    'head_dim',
    'num_experts',
    'num_experts_per_tok',
    'moe_intermediate_size',
    'vocab_size',
    'max_position_embeddings',
    'rms_norm_eps',
    'rope_theta',
    'norm_topk_prob',
    'mask_token_id',
  ];

  test.each(REQUIRED)('without %s', async (key) => {
    for (const absent of [undefined, null]) {
      const message = await failure(() => read({ [key]: absent }), 'invalid_checkpoint');
      expect(message).toContain(`${key} is missing`);
      expect(message).toContain('config.json');
    }
  });

  test.each(REQUIRED.filter((key) => !/model_type|eps|theta|prob|mask/.test(key)))(
    'with a %s that is no size',
    async (key) => {
      for (const value of [0, -4, 2.5, '4', true, [4], 2 ** 31, 1e300]) {
        const message = await failure(() => read({ [key]: value }), 'invalid_checkpoint');
        expect(message).toContain(
          `${key} must be a positive integer up to 2^24, not ${JSON.stringify(value)}`,
        );
      }
    },
  );

  test.each([
    ['rms_norm_eps', 0, 'a number above 0'],
    ['rms_norm_eps', '1e-6', 'a number above 0'],
    ['rope_theta', -1, 'a number above 0'],
    ['norm_topk_prob', 1, 'true or false'],
    ['tie_word_embeddings', 'false', 'true or false'],
    ['num_diffusion_steps', 0, 'a positive integer'],
    ['dtype', 32, 'a string'],
    ['mask_token_id', 512, 'a token id below vocab_size 512'],
    ['mask_token_id', -1, 'a token id'],
    ['mask_token_id', [7], 'a token id'],
    ['pad_token_id', 1.5, 'a token id'],
    ['bos_token_id', '1', 'a token id'],
    ['eos_token_id', 512, 'a token id below vocab_size 512'],
    ['eos_token_id', [5, 512], 'a list of up to 1000'],
    ['eos_token_id', [[5]], 'a list of up to 1000'],
    ['eos_token_id', Array(1001).fill(5), 'a list of up to 1000'],
  ])('with %s %p', async (key, value, expected) => {
    const message = await failure(() => read({ [key]: value }, {}), 'invalid_checkpoint');
    expect(message).toMatch(new RegExp(`${key} must be .*${expected}`));
    expect(message).toContain(JSON.stringify(value).slice(0, 100));
  });

  test.each([
    [{ num_attention_heads: 6, num_key_value_heads: 4 }, 'num_attention_heads 6 is not a multiple'],
    [{ num_experts_per_tok: 9 }, 'num_experts_per_tok 9 is larger than num_experts 8'],
    [{ head_dim: 33 }, 'head_dim 33 is odd'],
  ])('that contradicts itself: %p', async (changes, problem) => {
    expect(await failure(() => read(changes), 'invalid_checkpoint')).toContain(problem);
  });

  test('with an infinity, as 1e999 is in JSON', async () => {
    const text = JSON.stringify(TINY).replace(/"rope_theta":[^,]+/, '"rope_theta":1e999');
    const folder = temporaryFolder({ 'config.json': text });
    expect(await failure(() => readConfig(folder), 'invalid_checkpoint')).toContain('rope_theta');
  });
});
