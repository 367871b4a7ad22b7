import { join } from 'node:path';
import { readConfig } from '../../../lib/checkpoint/config';
import { inspectCheckpoint } from '../../../lib/checkpoint/inspect';
import { type Manifest, readManifest } from '../../../lib/checkpoint/manifest';
import { expectedTensorCount, selectTensors } from '../../../lib/checkpoint/tensors';
import type { Architecture } from '../../../types/native';
import { namedTensors, type Rnd1Sizes, rnd1Architecture } from './architectures';
import { failure, fixtures, packed, temporaryFolder } from './files';

/** RND1's own sizes. */
const sizes: Rnd1Sizes = {
  layers: 48,
  hidden: 2048,
  heads: 32,
  keyValueHeads: 4,
  headDim: 128,
  experts: 128,
  expertsPerToken: 8,
  expertWidth: 768,
  vocabulary: 151936,
  maxPositions: 40960,
  ropeTheta: 1e6,
  normTopkProb: true,
};
const RND1 = rnd1Architecture(sizes);

/** Every size differs, so that no two shapes are alike by chance. */
const smallSizes: Rnd1Sizes = {
  ...sizes,
  layers: 2,
  hidden: 6,
  heads: 4,
  keyValueHeads: 2,
  headDim: 10,
  experts: 3,
  expertsPerToken: 2,
  expertWidth: 5,
  vocabulary: 11,
};
const SMALL = rnd1Architecture(smallSizes);

interface Named {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype?: string;
}

const all = (architecture: Architecture): Named[] =>
  namedTensors(architecture).map(({ name, shape }) => ({ name, shape }));

const select = (manifest: Manifest, architecture: Architecture) =>
  selectTensors(manifest, { family: 'rnd1', architecture, quantization: null, raw: {} });

function folderWith(tensors: readonly Named[]) {
  return temporaryFolder({ 'model.safetensors': packed(tensors) });
}

describe('the tensors that a model needs', () => {
  test('have the shapes of the layers', () => {
    const shapes = new Map(all(SMALL).map(({ name, shape }) => [name, shape]));
    const layer = 'model.layers.1';
    expect(Object.fromEntries(shapes)).toMatchObject({
      'model.embed_tokens.weight': [11, 6],
      [`${layer}.input_layernorm.weight`]: [6],
      [`${layer}.self_attn.q_proj.weight`]: [40, 6],
      [`${layer}.self_attn.k_proj.weight`]: [20, 6],
      [`${layer}.self_attn.v_proj.weight`]: [20, 6],
      [`${layer}.self_attn.o_proj.weight`]: [6, 40],
      [`${layer}.self_attn.q_norm.weight`]: [10],
      [`${layer}.self_attn.k_norm.weight`]: [10],
      [`${layer}.post_attention_layernorm.weight`]: [6],
      [`${layer}.mlp.gate.weight`]: [3, 6],
      [`${layer}.mlp.experts.2.gate_proj.weight`]: [5, 6],
      [`${layer}.mlp.experts.2.up_proj.weight`]: [5, 6],
      [`${layer}.mlp.experts.2.down_proj.weight`]: [6, 5],
      'model.norm.weight': [6],
      'lm_head.weight': [11, 6],
    });
    expect(shapes.size).toBe(39);
    expect(shapes.size).toBe(expectedTensorCount(SMALL));
  });

  test('are RND1’s 18,867 with 30.5 billion numbers', () => {
    const tensors = all(RND1);
    expect(tensors).toHaveLength(18867);
    expect(expectedTensorCount(RND1)).toBe(18867);
    const total = tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b), 0);
    expect(total).toBe(30_532_122_624);
  });

  test('have no head when it is tied', () => {
    const tied = { ...SMALL, tiedHead: true };
    expect(all(tied).map(({ name }) => name)).toEqual(
      all(SMALL)
        .map(({ name }) => name)
        .filter((name) => name !== 'lm_head.weight'),
    );
    expect(expectedTensorCount(tied)).toBe(all(tied).length);
  });

  test.each(['tiny-moe', 'tiny-moe-sharded-bf16', 'tiny-wide'])('are those of %s exactly', async (name) => {
    const folder = join(fixtures, name);
    const config = await readConfig(folder);
    const selected = selectTensors(await readManifest(folder), config);
    expect(selected.unknown).toEqual([]);
    expect(selected.tensors).toHaveLength(expectedTensorCount(config.architecture));
    expect(selected.dtype).toBe(name.endsWith('bf16') ? 'bf16' : 'f32');
  });
});

describe('selecting them', () => {
  test('ignores and lists the unknown, whatever their dtype', async () => {
    const folder = folderWith([
      { name: 'model.layers.2.mlp.gate.weight', shape: [3, 6] },
      ...all(SMALL),
      { name: 'rotary.inv_freq', shape: [4], dtype: 'F64' },
    ]);
    const manifest = await readManifest(folder);
    const selected = select(manifest, SMALL);
    expect(selected.unknown).toEqual(['model.layers.2.mlp.gate.weight', 'rotary.inv_freq']);
    expect(selected.tensors.map(({ name }) => name)).toEqual(all(SMALL).map(({ name }) => name));
    const norm = manifest.tensors.get('model.norm.weight');
    expect(selected.tensors.map(({ role }) => role)).toEqual(namedTensors(SMALL).map(({ role }) => role));
    expect(selected.tensors.at(-2)).toEqual({
      role: 'norm',
      name: 'model.norm.weight',
      file: 0,
      offset: norm?.offset,
      dtype: 'f32',
      shape: [6],
    });
  });

  test.each([
    'model.layers.0.self_attn.q_proj.bias',
    'model.layers.1.mlp.expert_bias',
    'model.layers.1.mlp.shared_experts.up_proj.weight',
  ])('refuses %s, which would change the result', async (name) => {
    const folder = folderWith([...all(SMALL), { name, shape: [3] }]);
    const manifest = await readManifest(folder);
    const message = await failure(() => select(manifest, SMALL), 'unsupported_model');
    expect(message).toBe(
      `${folder}: biases and shared experts that the configuration does not name: "${name}"`,
    );
  });

  test('refuses biases of different dtypes, which are joined in memory', async () => {
    const folder = join(fixtures, 'families', 'tiny-dream');
    const config = await readConfig(folder);
    const name = 'model.layers.1.self_attn.k_proj.bias';
    const tensors: Named[] = [...(await readManifest(folder)).tensors.values()].map((tensor) =>
      tensor.name === name ? { ...tensor, dtype: 'F32' } : tensor,
    );
    const manifest = await readManifest(folderWith(tensors));
    expect(await failure(() => selectTensors(manifest, config), 'invalid_checkpoint')).toMatch(
      /q_proj\.bias" and "model\.layers\.1\.self_attn\.k_proj\.bias" have different dtypes, bf16 and f32/,
    );
  });

  test('lists a head that is not used because it is tied', async () => {
    const manifest = await readManifest(folderWith(all(SMALL)));
    expect(select(manifest, { ...SMALL, tiedHead: true }).unknown).toEqual(['lm_head.weight']);
  });

  test('counts and names what is missing', async () => {
    const kept = all(SMALL).filter(({ name }) => !name.includes('experts'));
    const folder = folderWith(kept);
    const manifest = await readManifest(folder);
    const message = await failure(() => select(manifest, SMALL), 'invalid_checkpoint');
    expect(message).toContain(`${folder}: 18 of the 39 tensors that the model needs are missing`);
    expect(message).toContain('"model.layers.0.mlp.experts.0.gate_proj.weight"');
    expect(message).toContain('and 13 more');
  });

  test('names file, tensor and both shapes of what is misshapen', async () => {
    const folder = folderWith(
      all(SMALL).map((tensor) =>
        tensor.name.endsWith('o_proj.weight') ? { ...tensor, shape: [40, 6] } : tensor,
      ),
    );
    const manifest = await readManifest(folder);
    const message = await failure(() => select(manifest, SMALL), 'invalid_checkpoint');
    expect(message).toContain(join(folder, 'model.safetensors'));
    for (const layer of [0, 1]) {
      expect(message).toContain(
        `"model.layers.${layer}.self_attn.o_proj.weight" has shape [40, 6], the configuration needs [6, 40]`,
      );
    }
  });

  test.each(['F64', 'I64', 'U8'])('refuses %s where the model needs floats', async (dtype) => {
    const folder = folderWith(
      all(SMALL).map((tensor) => (tensor.name === 'model.norm.weight' ? { ...tensor, dtype } : tensor)),
    );
    const manifest = await readManifest(folder);
    const message = await failure(() => select(manifest, SMALL), 'invalid_checkpoint');
    expect(message).toContain(`tensor "model.norm.weight" is ${dtype}`);
  });

  test('allows mixed dtypes; that of most bytes is the checkpoint’s own', async () => {
    const mixed = (isWide: (name: string) => boolean) =>
      all(SMALL).map((tensor) => ({ ...tensor, dtype: isWide(tensor.name) ? 'F32' : 'F16' }));
    const norms = select(await readManifest(folderWith(mixed((name) => /norm/.test(name)))), SMALL);
    expect(norms.dtype).toBe('f16');
    expect(norms.tensors.find(({ name }) => name === 'model.norm.weight')?.dtype).toBe('f32');
    const experts = select(await readManifest(folderWith(mixed((name) => /mlp|proj/.test(name)))), SMALL);
    expect(experts.dtype).toBe('f32');
    const wide = (name: string) => /mlp|proj/.test(name);
    const bytes = all(SMALL).reduce(
      (sum, { name, shape }) => sum + shape.reduce((a, b) => a * b) * (wide(name) ? 4 : 2),
      0,
    );
    expect(experts.bytes).toBe(bytes);
  });

  test('does not enumerate absurd configurations', async () => {
    const manifest = await readManifest(folderWith([{ name: 'a', shape: [1] }]));
    const absurd = rnd1Architecture({ ...smallSizes, layers: 2 ** 14, experts: 2 ** 24 });
    const message = await failure(() => select(manifest, absurd), 'invalid_checkpoint');
    expect(message).toContain('16384 layers of 16777216 experts');
    expect(message).toContain('the checkpoint has 1');
  });
});

describe('inspection', () => {
  test('counts parameters, total and active, bytes and files', async () => {
    const report = await inspectCheckpoint(join(__dirname, '../..', '..', 'models', 'nano'));
    expect(report.parameters).toEqual({ total: 1_842_560, active: 662_912 });
    expect(report.bytes).toBe(2 * 1_842_560);
    expect(report.dtype).toBe('bf16');
    expect(report.files.map((file) => file.bytes)).toEqual([3_700_288]);
    expect(report.tensors).toHaveLength(135);
    expect(report.unknown).toEqual([]);
    expect(report.metadata.get('format')).toBe('pt');
    expect(report.tokenizer).toBe(true);
    expect(report.config.tokens.maskTokenId).toBe(259);
  });

  test('takes another configuration file, and sees that there is no tokenizer', async () => {
    const folder = join(fixtures, 'tiny-wide');
    const report = await inspectCheckpoint(folder, { configFile: 'config-nonorm.json' });
    expect(report.config.architecture.layers[0]?.mlp).toMatchObject({ router: { normalise: false } });
    expect(report.tokenizer).toBe(false);
  });
});
