import type { SpecialTokenIds } from '../../../lib';
import { readConfig } from '../../../lib/checkpoint/config';
import { temporaryFolder } from '../checkpoint/files';
import { tinyConfig } from './configs';

interface Given {
  readonly changes?: Record<string, unknown>;
  readonly generation?: Record<string, unknown>;
  readonly specialTokens?: SpecialTokenIds;
  readonly named?: Record<string, number>;
  readonly warnings?: string[];
}

/** The special tokens of a tiny checkpoint with another vocabulary and other files. */
async function tokensOf(name: string, { changes, generation, specialTokens, named = {}, warnings }: Given) {
  const folder = temporaryFolder({
    'config.json': JSON.stringify({ ...tinyConfig(name), ...changes }),
    ...(generation && { 'generation_config.json': JSON.stringify(generation) }),
  });
  const warn = (message: string) => void warnings?.push(message);
  const { tokens } = await readConfig(folder, { specialTokens, namedTokens: async () => named, warn });
  return tokens;
}

const noTokens = {
  mask_token_id: undefined,
  eos_token_id: undefined,
  pad_token_id: undefined,
  bos_token_id: undefined,
};

describe('ids that no file names', () => {
  test.each([
    ['tiny-llada', { embedding_size: 126464 }, 126336, [126081, 126348], 126081, 126080],
    ['tiny-dream', { vocab_size: 152064 }, 151666, [151643], 151643, null],
    ['tiny-llada-moe', { vocab_size: 157184 }, 156895, [156892], 156892, null],
    ['tiny-llada2', { vocab_size: 157184 }, 156895, [156892], 156892, null],
    ['tiny-qwen3', { vocab_size: 151936, model_type: 'sdar' }, 151669, [151645, 151643], null, null],
    ['tiny-qwen3', { vocab_size: 151936 }, null, [], null, null],
    ['tiny-a2d-qwen3', { vocab_size: 151936 }, null, [], null, null],
  ])('are the family’s own: %s %j', async (name, size, maskTokenId, eosTokenIds, padTokenId, bosTokenId) => {
    const tokens = await tokensOf(name, { changes: { ...noTokens, ...size } });
    expect(tokens).toEqual({ maskTokenId, eosTokenIds, padTokenId, bosTokenId });
  });

  test('are none where the vocabulary is smaller', async () => {
    expect(await tokensOf('tiny-llada2', { changes: noTokens })).toEqual({
      maskTokenId: null,
      eosTokenIds: [],
      padTokenId: null,
      bosTokenId: null,
    });
  });

  test('come from the tokenizer first', async () => {
    const changes = { ...noTokens, vocab_size: 157184 };
    const tokens = await tokensOf('tiny-llada2', { changes, named: { mask: 5, eos: 6 } });
    expect(tokens).toMatchObject({ maskTokenId: 5, eosTokenIds: [6], padTokenId: 156892 });
    expect(await tokensOf('tiny-a2d-qwen3', { named: { mask: 369 } })).toMatchObject({ maskTokenId: 369 });
  });

  test('null in the files means none, but for the mask', async () => {
    const changes = { mask_token_id: null, eos_token_id: null, pad_token_id: null, embedding_size: 126464 };
    expect(await tokensOf('tiny-llada', { changes })).toMatchObject({
      maskTokenId: 126336,
      eosTokenIds: [],
      padTokenId: null,
    });
  });
});

test('null in generation_config.json does not hide the id of config.json', async () => {
  const generation = { mask_token_id: null, eos_token_id: null };
  expect(await tokensOf('tiny-dream', { generation })).toMatchObject({
    maskTokenId: 366,
    eosTokenIds: [343],
  });
});

describe('given special tokens', () => {
  test('take precedence, without warnings about the files', async () => {
    const warnings: string[] = [];
    const specialTokens = { mask: 1, eos: [2, 3, 2], pad: null, bos: 0 };
    const generation = { eos_token_id: 9 };
    const tokens = await tokensOf('tiny-dream', { generation, specialTokens, named: { mask: 4 }, warnings });
    expect(tokens).toEqual({ maskTokenId: 1, eosTokenIds: [2, 3], padTokenId: null, bosTokenId: 0 });
    expect(warnings).toEqual([]);
  });

  test('may be some, a single one, or none', async () => {
    const own = await tokensOf('tiny-dream', {});
    expect(await tokensOf('tiny-dream', { specialTokens: {} })).toEqual(own);
    expect(await tokensOf('tiny-dream', { specialTokens: { eos: 5 } })).toEqual({ ...own, eosTokenIds: [5] });
    expect(await tokensOf('tiny-dream', { specialTokens: { eos: null, mask: null } })).toEqual({
      ...own,
      maskTokenId: null,
      eosTokenIds: [],
    });
  });

  test.each<[SpecialTokenIds, string]>([
    [{ mask: 384 }, 'specialTokens.mask must be an integer from 0 to 383, not 384'],
    [{ eos: 400 }, 'specialTokens.eos must be an integer from 0 to 383, not 400'],
    [{ eos: [1, 400] }, 'specialTokens.eos[1] is 400'],
    [{ pad: -1 }, 'specialTokens.pad must be'],
    [{ bos: 1.5 }, 'specialTokens.bos must be'],
    [{ eos: 'x' as never }, 'specialTokens.eos must be'],
    [{ msk: 1 } as never, "specialTokens has no 'msk'"],
  ])('%j is refused by name', async (specialTokens, problem) => {
    await expect(tokensOf('tiny-dream', { specialTokens })).rejects.toThrow(problem);
  });

  test('the mask may be another special token, if the caller says so', async () => {
    const { maskTokenId, eosTokenIds } = await tokensOf('tiny-dream', { specialTokens: { mask: 343 } });
    expect([maskTokenId, eosTokenIds]).toEqual([343, [343]]);
  });
});
