import { families, familyNamed, familyOf } from '../../../lib/families';
import { Fields } from '../../../lib/support/fields';
import { failure } from '../checkpoint/files';
import { tinyConfig } from './configs';

const find = (config: Record<string, unknown>) => familyOf(new Fields('config.json', config));

test.each([
  ['tiny-llada', 'llada'],
  ['tiny-dream', 'dream'],
  ['tiny-llada-moe', 'llada-moe'],
  ['tiny-qwen3-moe', 'qwen3-moe'],
  ['tiny-qwen3', 'qwen3'],
  ['tiny-a2d-qwen3', 'a2d-qwen3'],
  ['tiny-llada2', 'llada2'],
])('%s is a %s', (checkpoint, name) => {
  expect(find(tinyConfig(checkpoint)).name).toBe(name);
});

test.each([
  [{ model_type: 'rnd1' }, 'rnd1'],
  [{ model_type: 'sdar', architectures: ['SDARForCausalLM'] }, 'sdar'],
  [{ model_type: 'sdar_moe', architectures: ['SDARMoeForCausalLM'] }, 'sdar'],
  [{ model_type: 'lladamoe' }, 'llada-moe'],
  [{ model_type: 'llada', architectures: ['LLaDAMoEModelLM'] }, 'llada-moe'],
  [{ model_type: 'llada', architectures: ['LLaDAModelLM'], num_experts: 64 }, 'llada'],
  [{ model_type: 'llada', architectures: null, num_experts: 64 }, 'llada-moe'],
  [{ model_type: 'llada', architectures: 'LLaDAMoEModelLM' }, 'llada'],
  [{ model_type: 'llada' }, 'llada'],
])('%j is a %s', (config, name) => {
  expect(find(config).name).toBe(name);
});

test.each(['llama', 'dream', 'Qwen3', '', 7, ['llada'], {}])(
  'model_type %j is refused, with all that are read',
  async (modelType) => {
    const message = await failure(() => find({ model_type: modelType }), 'unsupported_model');
    expect(message).toContain(`config.json: model_type ${JSON.stringify(modelType)} is not supported`);
    for (const { modelTypes } of families) {
      for (const type of modelTypes) expect(message).toContain(`"${type}"`);
    }
  },
);

test('DiffusionGemma is refused as another kind of model', async () => {
  for (const type of ['diffusion_gemma', 'diffusion_gemma_text', 'DiffusionGemma']) {
    const message = await failure(() => find({ model_type: type }), 'unsupported_model');
    expect(message).toBe(
      `config.json: model_type "${type}": DiffusionGemma is another kind of model: docs/families.md`,
    );
  }
});

test('a missing model_type is named', async () => {
  for (const config of [{}, { model_type: null }]) {
    expect(await failure(() => find(config), 'invalid_checkpoint')).toBe(
      'config.json: model_type is missing',
    );
  }
});

test('names are unique, and find their family', () => {
  for (const family of families) expect(familyNamed(family.name)).toBe(family);
});
