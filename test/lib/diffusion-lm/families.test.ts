import { join } from 'node:path';
import { DiffusionLM, type LoadOptions, type TokenFrame } from '../../../lib/index';
import { fixtures } from '../checkpoint/files';
import { native, sessionOf } from './nano-model';

jest.mock('../../../lib/runtime/binding');

const load = (name: string, options?: LoadOptions) =>
  DiffusionLM.load(join(fixtures, 'families', name), options);

describe('causal models', () => {
  it.each(['tiny-qwen3', 'tiny-qwen3-moe'])('%s fills in no text', async (name) => {
    const model = await load(name);
    expect((await model.forward([1, 2])).shape).toEqual([2, 384]);
    expect(sessionOf().requests[0]).toMatchObject({ block: null });
    for (const call of [() => model.infill({ length: 1 }), () => model.fill('a ___')]) {
      await expect(call()).rejects.toMatchObject({ code: 'tokenizer_missing' });
    }
  });

  it('take no block', async () => {
    const model = await load('tiny-qwen3');
    await expect(model.forward([1], { blockLength: 8 })).rejects.toThrow(
      "blockLength is 8, but the model's attention is causal",
    );
  });
});

describe('blockLength', () => {
  it.each([0, 1, 8])('%d replaces the model’s own', async (blockLength) => {
    for (const name of ['tiny-llada2', 'tiny-a2d-qwen3', 'tiny-dream']) {
      const model = await load(name);
      await model.forward([1, 2], { blockLength });
      expect(sessionOf().requests.at(-1)).toMatchObject({ block: blockLength });
    }
  });

  it.each([-1, 0.5, '8', null, 2 ** 31])('%p is refused', async (blockLength) => {
    const model = await load('tiny-llada2');
    await expect(model.forward([1], { blockLength: blockLength as number })).rejects.toThrow('blockLength');
  });
});

describe('routing', () => {
  it('is that of the layers with experts', async () => {
    const model = await load('tiny-llada2');
    const { routing } = await model.forward([1], { routing: true });
    expect(routing).toHaveLength(2);
    expect(routing?.[0]?.logits).toHaveLength(16);
    await model.forward([1], { forcedExperts: Int32Array.of(0, 1, 2, 3, 4, 5, 6, 7) });
    await expect(model.forward([1], { forcedExperts: new Int32Array(12) })).rejects.toThrow(
      'forcedExperts has 12 ids, but [2 layers with experts, 1 tokens, 4] are 8',
    );
  });

  it('is refused by name where there are none', async () => {
    const model = await load('tiny-llada');
    await expect(model.forward([1], { routing: true })).rejects.toThrow('routing is asked for');
    await expect(model.forward([1], { forcedExperts: new Int32Array() })).rejects.toThrow(
      'forcedExperts is given, but the model has no experts',
    );
    expect((await model.forward([1], { routing: false })).routing).toBeUndefined();
  });
});

describe('special tokens', () => {
  it('are needed for a canvas, and may be given for good or for a call', async () => {
    const model = await load('tiny-llada2');
    await expect(model.generateTokens({ prefix: [1], length: 1 })).rejects.toThrow(
      'maskTokenId is needed: the checkpoint names no mask token',
    );
    const frame = await model
      .denoiseTokens({ prefix: [1], length: 1, maskTokenId: 3, initialFrame: true })
      .next();
    // No slot is reserved, and the block is filled up.
    expect([...(frame.value as TokenFrame).tokens]).toEqual([1, ...new Array(31).fill(3)]);
    const { config } = await load('tiny-llada2', { specialTokens: { mask: 379, pad: null } });
    expect(config.tokens).toEqual({
      maskTokenId: 379,
      eosTokenIds: [376],
      padTokenId: null,
      bosTokenId: null,
    });
  });

  it('are checked before anything is loaded', async () => {
    for (const specialTokens of [{ mask: 'x' }, { other: 1 }, 7, { eos: [1.5] }]) {
      const loading = load('tiny-llada2', { specialTokens: specialTokens as never });
      await expect(loading).rejects.toThrow('specialTokens');
    }
    await expect(load('tiny-llada2', { specialTokens: { mask: 384 } })).rejects.toThrow(RangeError);
    expect(native.sessions).toEqual([]);
  });
});
