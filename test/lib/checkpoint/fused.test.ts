import { join } from 'node:path';
import { readConfig } from '../../../lib/checkpoint/config';
import { inspectCheckpoint } from '../../../lib/checkpoint/inspect';
import { readManifest } from '../../../lib/checkpoint/manifest';
import { quantizationConfig, quantizedParts, type WeightFormat } from '../../../lib/checkpoint/quantization';
import { expectedTensorCount, selectTensors, storedTensors } from '../../../lib/checkpoint/tensors';
import { familyNamed } from '../../../lib/families';
import { layoutShards } from '../../../lib/quantize/layout';
import type { NativeQuantizedTensor } from '../../../types/native';
import { tinyConfig } from '../families/configs';
import { evenly, failure, fixtures, packed, temporaryFolder } from './files';

const tiny = (name: string) => join(fixtures, 'families', name);
const fusedName = 'model.layers.1.attention.query_key_value.weight';
const roles = ['query', 'key', 'value'].map((name) => `layers.1.attention.${name}`);

async function selectionOf(folder: string) {
  const manifest = await readManifest(folder);
  return { manifest, selected: selectTensors(manifest, await readConfig(folder)) };
}

describe('every family', () => {
  test.each([
    ['tiny-llada', 30],
    ['tiny-dream', 39],
    ['tiny-llada-moe', 174],
    ['tiny-qwen3-moe', 102],
    ['tiny-qwen3', 35],
    ['tiny-a2d-qwen3', 35],
    ['tiny-llada2', 130],
  ])('%s has the tensors that its model needs, exactly', async (name, stored) => {
    const { manifest, selected } = await selectionOf(tiny(name));
    const { architecture } = await readConfig(tiny(name));
    expect(selected.unknown).toEqual([]);
    expect(selected.stored).toHaveLength(stored);
    expect(selected.tensors).toHaveLength(expectedTensorCount(architecture));
    expect(new Set(selected.tensors.map(({ role }) => role)).size).toBe(selected.tensors.length);
    expect(selected.bytes).toBe([...manifest.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0));
  });

  test('biases of the selection may be f32 beside bf16', async () => {
    const { selected } = await selectionOf(tiny('tiny-llada2'));
    const bias = selected.tensors.find(({ role }) => role === 'layers.2.mlp.selectionBias');
    expect(bias).toMatchObject({ name: 'model.layers.2.mlp.gate.expert_bias', dtype: 'f32', shape: [16] });
    expect(selected.dtype).toBe('bf16');
  });

  test('without a head, LLaDA ties it; a head that is there is ignored by name', async () => {
    const folder = tiny('tiny-llada');
    const config = { ...(await readConfig(folder)), raw: { weight_tying: true } };
    const tied = { ...config, architecture: { ...config.architecture, tiedHead: true } };
    expect(selectTensors(await readManifest(folder), tied).warnings).toEqual([
      `${folder}: model.transformer.ff_out.weight is ignored: weight_tying is true`,
    ]);
  });
});

describe('a fused tensor', () => {
  test.each(['F32', 'BF16'])('is three ranges of rows, %s', async (dtype) => {
    const config = await readConfig(tiny('tiny-llada2'));
    const stored = [...storedTensors(config.architecture, familyNamed('llada2').names)];
    const folder = temporaryFolder({
      'config.json': JSON.stringify(tinyConfig('tiny-llada2')),
      'model.safetensors': packed(stored.map(({ name, shape }) => ({ name, shape, dtype }))),
    });
    const { manifest, selected } = await selectionOf(folder);
    const begin = manifest.tensors.get(fusedName)?.offset as number;
    const rowBytes = 64 * (dtype === 'F32' ? 4 : 2);
    const ranges = selected.tensors.filter(({ name }) => name === fusedName);
    const common = { name: fusedName, file: 0, dtype: dtype.toLowerCase() };
    expect(ranges).toEqual([
      { role: roles[0], ...common, offset: begin, shape: [128, 64] },
      { role: roles[1], ...common, offset: begin + 128 * rowBytes, shape: [64, 64] },
      { role: roles[2], ...common, offset: begin + 192 * rowBytes, shape: [64, 64] },
    ]);
  });

  test('of another shape is named once', async () => {
    const config = await readConfig(tiny('tiny-llada2'));
    const stored = [...storedTensors(config.architecture, familyNamed('llada2').names)];
    const wrong = stored.map(({ name, shape }) => ({ name, shape: name === fusedName ? [255, 64] : shape }));
    const folder = temporaryFolder({ 'model.safetensors': packed(wrong) });
    const manifest = await readManifest(folder);
    expect(await failure(() => selectTensors(manifest, config), 'invalid_checkpoint')).toBe(
      `${join(folder, 'model.safetensors')}: tensor "${fusedName}" has shape [255, 64], the configuration needs [256, 64]`,
    );
    const without = temporaryFolder({
      'model.safetensors': packed(stored.filter(({ name }) => name !== fusedName)),
    });
    const missing = await readManifest(without);
    expect(await failure(() => selectTensors(missing, config), 'invalid_checkpoint')).toBe(
      `${without}: 1 of the 130 tensors that the model needs are missing: "${fusedName}"`,
    );
  });
});

describe('a quantized fused tensor', () => {
  /** A quantized LLaDA2 of these sizes. */
  async function quantized(quantization: WeightFormat, changes: Record<string, unknown> = {}) {
    const settings = { ...tinyConfig('tiny-llada2'), ...changes };
    const text = JSON.stringify({ ...settings, quantization_config: quantizationConfig(quantization) });
    const { architecture } = await readConfig(temporaryFolder({ 'config.json': text }));
    const tensors = [...storedTensors(architecture, familyNamed('llada2').names)].flatMap(
      ({ name, shape, matmul }) => {
        if (!matmul) return [{ name, shape, dtype: 'F32' }];
        const { data, scales, minimums } = quantizedParts(name, shape, quantization);
        return minimums === null ? [data, scales] : [data, scales, minimums];
      },
    );
    return temporaryFolder({
      'config.json': text,
      'model.safetensors': evenly(tensors),
    });
  }

  test.each<[WeightFormat, number]>([
    [{ dtype: 'q8', group: 64 }, 1],
    [{ dtype: 'q4', group: 32 }, 2],
  ])('is three ranges of panels: %j', async (quantization, groups) => {
    const { manifest, selected } = await selectionOf(await quantized(quantization));
    const ranges = selected.tensors.filter(({ name }) => name === fusedName) as NativeQuantizedTensor[];
    expect(ranges.map(({ role, shape }) => [role, ...shape])).toEqual([
      [roles[0], 128, 64],
      [roles[1], 64, 64],
      [roles[2], 64, 64],
    ]);
    const begin = (suffix: string) => manifest.tensors.get(fusedName + suffix)?.offset as number;
    // A panel has 16 rows of 64 columns, and 16 scales of two bytes in each group.
    const panel = quantization.dtype === 'q8' ? 16 * 64 : 16 * 32;
    const panels = [0, 8, 12];
    expect(ranges.map(({ offset }) => offset - begin(''))).toEqual(panels.map((count) => count * panel));
    expect(ranges.map(({ scales }) => scales.offset - begin('.scales'))).toEqual(
      panels.map((count) => count * groups * 32),
    );
    expect(ranges.map(({ minimums }) => minimums && minimums.offset - begin('.minimums'))).toEqual(
      quantization.dtype === 'q8' ? [null, null, null] : panels.map((count) => count * groups * 32),
    );
  });

  test('is refused by name if weights share a panel', async () => {
    const folder = await quantized(
      { dtype: 'q8', group: 64 },
      { head_dim: 8, partial_rotary_factor: 1, rotary_dim: 8, num_key_value_heads: 1 },
    );
    expect(await failure(() => inspectCheckpoint(folder), 'unsupported_model')).toBe(
      `${join(folder, 'model.safetensors')}: tensor "model.layers.0.attention.query_key_value.weight" holds weights of 32, 8, 8 rows, which cannot be quantized together: 8 is not a multiple of 16`,
    );
  });

  test('is written once, and whole', async () => {
    const { selected } = await selectionOf(tiny('tiny-llada2'));
    const [shard] = layoutShards(selected.stored, { dtype: 'q8', group: 64 }, 1e9);
    const fused = shard?.tensors.filter(({ name }) => name === fusedName);
    expect(fused).toMatchObject([{ shape: [256, 64], quantized: { dtype: 'q8', minimums: null } }]);
    const copied = shard?.tensors.flatMap(({ name, quantized }) => (quantized === null ? [name] : []));
    const kinds = new Set(copied?.map((name) => name.replace(/\.\d+\./g, '.N.')));
    expect([...kinds].sort()).toEqual([
      'model.layers.N.attention.key_layernorm.weight',
      'model.layers.N.attention.query_layernorm.weight',
      'model.layers.N.input_layernorm.weight',
      'model.layers.N.mlp.gate.expert_bias',
      'model.layers.N.mlp.gate.weight',
      'model.layers.N.post_attention_layernorm.weight',
      'model.norm.weight',
      'model.word_embeddings.weight',
    ]);
  });

  test('of LLaDA, all projections and the head are quantized', async () => {
    const { selected } = await selectionOf(tiny('tiny-llada'));
    const kinds = selected.stored.flatMap(({ name, matmul }) =>
      matmul ? [name.replace(/\.\d+\./g, '.N.').replace('model.transformer.', '')] : [],
    );
    expect([...new Set(kinds)].sort()).toEqual([
      'blocks.N.attn_out.weight',
      'blocks.N.ff_out.weight',
      'blocks.N.ff_proj.weight',
      'blocks.N.k_proj.weight',
      'blocks.N.q_proj.weight',
      'blocks.N.up_proj.weight',
      'blocks.N.v_proj.weight',
      'ff_out.weight',
    ]);
  });
});
