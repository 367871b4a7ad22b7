import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DiffusionLM } from '../../lib';
import { readHeader } from '../../lib/checkpoint/safetensors';
import { convert, initialize } from '../../lib/training';
import { fixturesFolder } from '../support/goldens';
import { nanoFolder } from '../support/models';
import { closeTrainers, scratchFolder } from './support';

afterEach(closeTrainers);

const familyFolder = (name: string) => join(fixturesFolder, 'families', name);
const json = (...path: string[]) => JSON.parse(readFileSync(join(...path), 'utf8'));
const target = () => join(scratchFolder(), 'converted');

/** A causal model with nano's tokenizer, whose vocabulary has `rows` rows. */
async function causal(rows: number, given: object = {}, tokenizer = nanoFolder): Promise<string> {
  const folder = join(scratchFolder(), 'causal');
  const config = {
    hidden_size: 16,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    vocab_size: rows,
    ...given,
  };
  await initialize(folder, { config, tokenizer });
  return folder;
}

/** nano's tokenizer without its mask token. */
function withoutMask(): string {
  const folder = join(scratchFolder(), 'tokenizer');
  cpSync(nanoFolder, folder, { recursive: true });
  const tokenizer = json(folder, 'tokenizer.json');
  const config = json(folder, 'tokenizer_config.json');
  const added = tokenizer.added_tokens.filter(({ id }: { id: number }) => id !== 259);
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify({ ...tokenizer, added_tokens: added }));
  const { mask_token: _, ...rest } = config;
  delete rest.added_tokens_decoder[259];
  writeFileSync(join(folder, 'tokenizer_config.json'), JSON.stringify(rest));
  return folder;
}

async function logits(folder: string, causally: boolean): Promise<number[]> {
  const model = await DiffusionLM.load({ model: folder, dtype: 'f32' });
  const { logits: values } = await model.forward([3, 1, 4, 1, 5], causally ? { blockLength: 1 } : {});
  await model.dispose();
  return Array.from(values);
}

describe('convert', () => {
  it('makes RND1 of Qwen3-MoE: the same weights, linked, and all positions see each other', async () => {
    const source = familyFolder('tiny-qwen3-moe');
    const path = target();
    const report = await convert(source, path, { maskTokenId: 300 });
    expect(report).toMatchObject({ path, from: 'Qwen3-MoE', to: 'RND1', copiedBytes: 0 });
    expect(report.mask).toEqual({ id: 300, text: null, from: 'given' });
    expect(statSync(join(path, 'model.safetensors')).ino).toBe(
      statSync(join(source, 'model.safetensors')).ino,
    );
    expect(json(path, 'config.json')).toMatchObject({
      model_type: 'rnd1',
      architectures: ['RND1LM'],
      is_causal: false,
      use_cache: false,
      mask_token_id: 300,
      num_diffusion_steps: 256,
      router_aux_loss_coef: 0.001,
    });
    const model = await DiffusionLM.load({ model: path });
    expect(model.config).toMatchObject({ family: 'rnd1', tokens: { maskTokenId: 300 } });
    await model.dispose();
    expect(await logits(path, true)).toEqual(await logits(source, false));
    expect(await logits(path, false)).not.toEqual(await logits(source, false));
  });

  it.each(['tiny-qwen3-moe', 'tiny-qwen3'])('gives %s back in reverse', async (name) => {
    const source = familyFolder(name);
    const [there, back] = [target(), target()];
    await convert(source, there, { maskTokenId: 300, copy: true });
    expect(statSync(join(there, 'model.safetensors')).ino).not.toBe(
      statSync(join(source, 'model.safetensors')).ino,
    );
    const report = await convert(there, back, { reverse: true });
    expect(report.mask).toBeNull();
    expect(json(back, 'config.json')).toEqual({ ...json(source, 'config.json'), mask_token_id: 300 });
    expect(readFileSync(join(back, 'model.safetensors'))).toEqual(
      readFileSync(join(source, 'model.safetensors')),
    );
    expect(await logits(back, false)).toEqual(await logits(source, false));
  });

  it("takes the tokenizer's mask token, and names it", async () => {
    const path = target();
    const { mask } = await convert(await causal(264), path);
    expect(mask).toEqual({ id: 259, text: '<|mask|>', from: 'config' });
    const model = await DiffusionLM.load({ model: path });
    expect(model.config.tokens.maskTokenId).toBe(259);
    await model.dispose();
  });

  it('takes a row that no token uses, and adds it to the tokenizer', async () => {
    const path = target();
    const { mask, linkedBytes } = await convert(await causal(264, {}, withoutMask()), path);
    expect(mask).toEqual({ id: 259, text: '<|mask|>', from: 'unused row' });
    expect(linkedBytes).toBeGreaterThan(0);
    expect(json(path, 'tokenizer_config.json')).toMatchObject({
      mask_token: '<|mask|>',
      added_tokens_decoder: { 259: { content: '<|mask|>', special: true } },
    });
    const model = await DiffusionLM.load({ model: path });
    expect(model.tokenizer?.idOf('<|mask|>')).toBe(259);
    expect(model.config.tokens.maskTokenId).toBe(259);
    await model.dispose();
  });

  it.each([
    [false, 'F32' as const],
    [true, 'F32' as const],
  ])('adds a row if there is none: the mean of all (tied head: %s)', async (tied, dtype) => {
    const source = await causal(259, { tie_word_embeddings: tied }, withoutMask());
    const path = target();
    const { mask, copiedBytes, linkedBytes } = await convert(source, path);
    expect(mask).toEqual({ id: 259, text: '<|mask|>', from: 'added row' });
    expect([copiedBytes > 0, linkedBytes]).toEqual([true, 0]);
    expect(json(path, 'config.json')).toMatchObject({ vocab_size: 260, mask_token_id: 259 });
    const read = async (folder: string, name: string) => {
      const file = join(folder, 'model.safetensors');
      const found = (await readHeader(file)).tensors.find((tensor) => tensor.name === name);
      if (found === undefined) return null;
      expect(found.dtype).toBe(dtype);
      const bytes = Uint8Array.from(readFileSync(file).subarray(found.offset, found.offset + found.bytes));
      return new Float32Array(bytes.buffer);
    };
    for (const name of ['model.embed_tokens.weight', 'lm_head.weight']) {
      const [before, after] = [await read(source, name), await read(path, name)];
      expect(before === null).toBe(tied && name === 'lm_head.weight');
      if (before === null || after === null) continue;
      expect(after.subarray(0, before.length)).toEqual(before);
      const row = after.subarray(before.length);
      expect(row).toHaveLength(16);
      row.forEach((value, i) => {
        let mean = 0;
        for (let r = 0; r < 259; r++) mean += (before[16 * r + i] as number) / 259;
        expect(Math.abs(value - mean)).toBeLessThan(0.06);
        expect(value).not.toBe(Math.fround(mean));
      });
    }
    for (const name of ['model.norm.weight', 'model.layers.1.mlp.experts.7.down_proj.weight'])
      expect(await read(path, name)).toEqual(await read(source, name));
    const model = await DiffusionLM.load({ model: path });
    await model.dispose();
  });

  it('takes a given token as the tokenizer spells it', async () => {
    const source = await causal(301);
    for (const [id, text] of [
      [200, 'Č'],
      [259, '<|mask|>'],
      [300, '<|mask_300|>'],
    ] as const) {
      const path = target();
      const { mask } = await convert(source, path, { maskTokenId: id });
      expect(mask).toMatchObject({ id, from: 'given' });
      if (id !== 200) expect(mask?.text).toBe(text);
      const model = await DiffusionLM.load({ model: path });
      expect(model.config.tokens.maskTokenId).toBe(id);
      expect(json(path, 'tokenizer_config.json').mask_token).toBe(mask?.text);
      await model.dispose();
    }
  });

  it('follows symbolic links, as those of the cache of the hub', async () => {
    const source = join(scratchFolder(), 'links');
    mkdirSync(source);
    const files = familyFolder('tiny-qwen3-moe');
    for (const name of readdirSync(files)) symlinkSync(join(files, name), join(source, name));
    const path = target();
    await convert(source, path, { maskTokenId: 300 });
    expect(lstatSync(join(path, 'model.safetensors')).isFile()).toBe(true);
    const model = await DiffusionLM.load({ model: path });
    await model.dispose();
  });

  it('leaves settings of sampling behind', async () => {
    const source = await causal(264);
    const settings = { eos_token_id: 258, do_sample: true, top_k: 20, max_new_tokens: 9 };
    writeFileSync(join(source, 'generation_config.json'), JSON.stringify(settings));
    const path = target();
    await convert(source, path);
    expect(json(path, 'generation_config.json')).toEqual({ eos_token_id: 258, mask_token_id: 259 });
  });

  const refused = async (source: string, options: object, message: RegExp) => {
    const path = target();
    await expect(convert(source, path, options)).rejects.toThrow(message);
    expect(readdirSync(join(path, '..'))).toEqual([]);
  };

  it('refuses what has no counterpart, and leaves nothing', async () => {
    const moe = familyFolder('tiny-qwen3-moe');
    await refused(
      familyFolder('tiny-llada'),
      {},
      /LLaDA cannot be converted; only Qwen3-MoE \(to RND1\) and Qwen3/,
    );
    await refused(nanoFolder, {}, /is a diffusion model already: RND1/);
    await refused(moe, { reverse: true }, /is causal already: Qwen3-MoE/);
    await refused(moe, { reverse: true, maskTokenId: 3 }, /maskTokenId is for the way to a diffusion model/);
    await refused(moe, { maskTokenId: 384 }, /maskTokenId 384 is no row of the embedding, which has 384/);
    await refused(moe, { maskTokenId: 345 }, /maskTokenId 345 is a special token already/);
    await refused(moe, {}, /has no tokenizer\.json, which would say what rows are unused/);
    await refused(moe, { mask: 3 }, /options has no 'mask'/);
    await refused(join(moe, 'nowhere'), {}, /nowhere/);
    const controller = new AbortController();
    controller.abort(new Error('enough'));
    await refused(moe, { maskTokenId: 300, signal: controller.signal }, /enough/);
  });

  it('refuses a folder that is not empty', async () => {
    const path = target();
    mkdirSync(path);
    writeFileSync(join(path, 'mine.txt'), '');
    await expect(convert(familyFolder('tiny-qwen3-moe'), path, { maskTokenId: 300 })).rejects.toThrow(
      /is not empty/,
    );
    expect(readdirSync(path)).toEqual(['mine.txt']);
  });
});

describe('initialize', () => {
  const sizes = { hidden_size: 64, num_hidden_layers: 8, num_attention_heads: 4 };

  it('gives the same bytes for the same seed', async () => {
    const files = await Promise.all(
      [1, 1, 2].map(async (seed) => {
        const path = target();
        await initialize(path, { config: sizes, tokenizer: nanoFolder, seed });
        return readFileSync(join(path, 'model.safetensors')).toString('base64');
      }),
    );
    expect(files[1] === files[0]).toBe(true);
    expect(files[2] === files[0]).toBe(false);
  });

  it.each(['f32', 'bf16'] as const)('draws normal weights in %s', async (dtype) => {
    const path = target();
    const report = await initialize(path, { config: sizes, tokenizer: nanoFolder, dtype });
    const model = await DiffusionLM.load({ model: path, dtype: 'f32' });
    expect(report).toMatchObject({ path, modelType: 'qwen3_moe' });
    await model.dispose();
    const file = join(path, 'model.safetensors');
    const { tensors } = await readHeader(file);
    expect(report.parameters).toBe(
      tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    );
    const bytes = readFileSync(file);
    const statistics = (name: string) => {
      const { offset, bytes: length } = tensors.find(
        (tensor) => tensor.name === name,
      ) as (typeof tensors)[number];
      const raw = Uint8Array.from(bytes.subarray(offset, offset + length)).buffer;
      const values =
        dtype === 'f32'
          ? new Float32Array(raw)
          : new Float32Array(Uint32Array.from(new Uint16Array(raw), (x) => x << 16).buffer);
      const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
      const deviation = Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
      const beyond = values.filter((x) => Math.abs(x - mean) > 2 * deviation).length / values.length;
      return { mean, deviation, beyond };
    };
    const embedding = statistics('model.embed_tokens.weight');
    expect(Math.abs(embedding.mean)).toBeLessThan(0.001);
    expect(embedding.deviation).toBeCloseTo(0.02, 3);
    expect(embedding.beyond).toBeCloseTo(0.0455, 2);
    expect(statistics('model.layers.3.self_attn.o_proj.weight').deviation).toBeCloseTo(0.005, 3);
    expect(statistics('model.layers.3.mlp.experts.2.down_proj.weight').deviation).toBeCloseTo(0.005, 3);
    expect(statistics('model.norm.weight')).toMatchObject({ mean: 1, deviation: 0 });
  });

  it('takes a whole config.json, and that of a dense or a bidirectional model', async () => {
    for (const name of ['tiny-qwen3', 'tiny-llada', 'tiny-dream'] as const) {
      const path = target();
      await initialize(path, { config: join(familyFolder(name), 'config.json') });
      const model = await DiffusionLM.load({ model: path });
      expect(model.config.architecture.layers).toHaveLength(
        json(familyFolder(name), 'config.json').num_hidden_layers ??
          json(familyFolder(name), 'config.json').n_layers,
      );
      await model.dispose();
    }
  });

  it.each([
    [{ config: {} }, /hidden_size is missing/],
    [{ config: { ...sizes } }, /vocab_size is missing/],
    [
      { config: { ...sizes, vocab_size: 100 }, tokenizer: nanoFolder },
      /vocab_size must be at least the 260 tokens/,
    ],
    [{ config: { ...sizes, vocab_size: 300, model_type: 'gpt2' } }, /model_type "gpt2" is not supported/],
    [{ config: '/nowhere.json' }, /nowhere\.json: there is no such file/],
    [{ config: sizes, tokenizer: '/nowhere' }, /nowhere/],
    [{ config: { ...sizes, vocab_size: 300 }, dtype: 'f16' }, /dtype must be one of/],
    [{ config: { ...sizes, vocab_size: 300, initializer_range: -1 } }, /initializer_range/],
  ])('refuses %j, and leaves nothing', async (options, message) => {
    const path = target();
    await expect(initialize(path, options as never)).rejects.toThrow(message);
    expect(existsSync(path)).toBe(false);
    expect(readdirSync(join(path, '..'))).toEqual([]);
  });
});
