import { join } from 'node:path';
import type { DiffusionLM, TokenOptions } from '../../lib';
import { copyOf, failureOf, open, TensorFile } from './support';

// Mask, EOS and pad of tiny-moe are 7, 5 and 3.
const poisoned = 100;
const options = (token: number): TokenOptions => ({
  prefix: [11, token, 13],
  maxNewTokens: 9,
  steps: 4,
  seed: 1,
});

/** tiny-moe (f32) with one number of a tensor replaced. */
function spoilt(tensor: string, element: number, value: number): string {
  const folder = copyOf('tiny-moe');
  const file = new TensorFile(join(folder, 'model.safetensors'));
  const [start] = file.entry(tensor).data_offsets;
  file.data.writeFloatLE(value, start + 4 * element);
  file.write();
  return folder;
}

async function refuses(call: () => Promise<unknown>, step: string): Promise<void> {
  const error = await failureOf(call);
  expect(error).toMatchObject({ name: 'RND1Error', code: 'not_finite' });
  expect(error.message).toContain(step);
}

describe.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('a weight of %p', (value) => {
  it.each([
    ['model.embed_tokens.weight', 7 * 64],
    ['model.layers.0.input_layernorm.weight', 3],
    ['model.layers.0.self_attn.q_proj.weight', 0],
    ['model.layers.1.self_attn.k_norm.weight', 1],
    ['model.layers.1.mlp.gate.weight', 5],
    ['model.layers.2.post_attention_layernorm.weight', 2],
    ['model.norm.weight', 0],
    ['lm_head.weight', 64 * 400],
  ])('in %s ends a run by name of its step', async (tensor, element) => {
    const model = await open(spoilt(tensor, element, value));
    await refuses(() => model.generateTokens(options(12)), 'step 1 of 4');
    await refuses(() => model.denoiseTokens(options(12)).next(), 'step 1 of 4');
    await model.dispose();
  });
});

describe('a token whose embedding is NaN', () => {
  let model: DiffusionLM;
  beforeAll(async () => {
    model = await open(spoilt('model.embed_tokens.weight', poisoned * 64 + 5, Number.NaN));
  });

  it('fails its own canvas alone', async () => {
    const tokens = [12, poisoned, 14, 15];
    const alone = [];
    for (const token of tokens)
      alone.push(token === poisoned ? null : await model.generateTokens(options(token)));
    const together = await Promise.allSettled(tokens.map((token) => model.generateTokens(options(token))));
    for (const [i, outcome] of together.entries()) {
      if (tokens[i] === poisoned) {
        expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'not_finite' } });
      } else {
        expect(outcome).toEqual({ status: 'fulfilled', value: alone[i] });
      }
    }
  });

  it('shows in the logits of its own forward pass', async () => {
    const healthy = model.forward([11, 12, 13]);
    const { logits } = await model.forward([11, poisoned, 13]);
    expect(logits.every(Number.isNaN)).toBe(true);
    expect((await healthy).logits.every(Number.isFinite)).toBe(true);
    expect(await model.forward([11, 12, 13])).toEqual(await healthy);
  });

  it('names the step in which it came in', async () => {
    // Written by the first step: as the only token that is not banned.
    const banned = Array.from({ length: 512 }, (_, token) => token).filter((token) => token !== poisoned);
    const frames = model.denoiseTokens({ ...options(12), banned });
    expect((await frames.next()).value).toMatchObject({ step: 1 });
    await refuses(() => frames.next(), 'step 2 of 4');
    expect(await frames.next()).toEqual({ done: true, value: undefined });
  });
});
