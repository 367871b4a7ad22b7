import { join } from 'node:path';
import { inspectCheckpoint } from '../../../lib/checkpoint/inspect';
import { readManifest } from '../../../lib/checkpoint/manifest';
import {
  formatOf,
  type Quantization,
  quantizationConfig,
  quantizedParts,
  type WeightFormat,
} from '../../../lib/checkpoint/quantization';
import { selectTensors } from '../../../lib/checkpoint/tensors';
import type { NativeQuantizedTensor } from '../../../types/native';
import { namedTensors } from './architectures';
import { evenly, failure, fixtures, temporaryFolder } from './files';
import { read, TINY } from './tiny-config';

const q4: WeightFormat = { dtype: 'q4', group: 64 };

interface Stored {
  name: string;
  dtype: string;
  shape: readonly number[];
}

/** The tiny model's tensors as a quantized checkpoint has them. */
async function storedTensors(quantization: Quantization): Promise<Stored[]> {
  const { architecture } = await read({});
  return namedTensors(architecture).flatMap(({ role, name, shape, matmul }): Stored[] => {
    const format = formatOf(quantization, { matmul, role });
    if (format === null) return [{ name, dtype: 'BF16', shape }];
    const { data, scales, minimums } = quantizedParts(name, shape, format);
    return minimums === null ? [data, scales] : [data, scales, minimums];
  });
}

async function folderOf(
  quantization: Quantization,
  change: (tensors: Stored[]) => Stored[] = (tensors) => tensors,
  config: Record<string, unknown> = {},
): Promise<string> {
  const settings = { ...TINY, quantization_config: quantizationConfig(quantization), ...config };
  return temporaryFolder({
    'config.json': JSON.stringify(settings),
    'model.safetensors': evenly(change(await storedTensors(quantization))),
  });
}

/** The message with which `inspectCheckpoint` rejects. */
const refusal = async (folder: string) => failure(() => inspectCheckpoint(folder), 'invalid_checkpoint');

describe('quantization_config', () => {
  test.each<[Quantization]>([
    [{ dtype: 'q8', group: 64 }],
    [{ dtype: 'q4', group: 32 }],
    [{ dtype: 'q5', group: 64 }],
    [{ dtype: 'q5m', group: 32 }],
    [{ dtype: 'q4m', group: 64 }],
  ])('%p is read as it is written', async (quantization) => {
    const { quantization: found } = await read({ quantization_config: quantizationConfig(quantization) });
    expect(found).toEqual(quantization);
  });

  test.each([
    [{ version: 2 }, 'version 2'],
    [{ version: undefined }, 'version'],
    [{ dtype: 'q6' }, 'dtype "q6"'],
    [{ group_size: 128 }, 'group_size 128'],
    [{ group_size: '64' }, 'group_size "64"'],
    [{ quant_method: 'gptq' }, 'quant_method'],
  ])('%p is refused by name', async (change, words) => {
    const config = { ...quantizationConfig(q4), ...change };
    const message = await failure(() => read({ quantization_config: config }), 'unsupported_model');
    expect(message).toContain('config.json');
    expect(message).toContain(words);
  });
});

describe('the parts of a quantized weight', () => {
  test('have the documented shapes', () => {
    const parts = quantizedParts('lm_head.weight', [151936, 2048], q4);
    expect(parts).toMatchObject({
      group: 64,
      data: { name: 'lm_head.weight', dtype: 'U8', shape: [9496, 256, 16, 4], bytes: 151936 * 1024 },
      scales: { name: 'lm_head.weight.scales', dtype: 'F16', shape: [9496, 32, 16] },
      minimums: { name: 'lm_head.weight.minimums', dtype: 'F16', shape: [9496, 32, 16] },
    });
    expect(quantizedParts('x', [17, 33], { dtype: 'q8', group: 64 })).toMatchObject({
      group: 32,
      data: { shape: [2, 16, 16, 4], bytes: 2 * 16 * 64 },
      scales: { shape: [2, 2, 16] },
      minimums: null,
    });
    expect(quantizedParts('x', [16, 128], { dtype: 'q4', group: 32 }).group).toBe(32);
    expect(quantizedParts('x', [17, 128], { dtype: 'q5', group: 64 })).toMatchObject({
      group: 64,
      data: { shape: [2, 4, 5, 16, 4], bytes: 2 * 16 * 80, panelBytes: 16 * 80 },
      scales: { shape: [2, 2, 16] },
      minimums: { shape: [2, 2, 16] },
    });
  });

  test('are those of products only', async () => {
    const { architecture } = await read({});
    const wide = namedTensors(architecture).flatMap(({ name, matmul }) => (matmul ? [] : [name]));
    expect(new Set(wide.map((name) => name.replace(/\.\d+\./g, '.N.')))).toEqual(
      new Set([
        'model.embed_tokens.weight',
        'model.layers.N.input_layernorm.weight',
        'model.layers.N.self_attn.q_norm.weight',
        'model.layers.N.self_attn.k_norm.weight',
        'model.layers.N.post_attention_layernorm.weight',
        'model.layers.N.mlp.gate.weight',
        'model.norm.weight',
      ]),
    );
  });
});

describe('selecting quantized tensors', () => {
  const name = 'model.layers.1.mlp.experts.2.down_proj.weight';
  const without = (gone: string) => (tensors: Stored[]) => tensors.filter((tensor) => tensor.name !== gone);
  const changed = (target: string, change: Partial<Stored>) => (tensors: Stored[]) =>
    tensors.map((tensor) => (tensor.name === target ? { ...tensor, ...change } : tensor));

  test.each<[WeightFormat]>([
    [{ dtype: 'q8', group: 64 }],
    [{ dtype: 'q5', group: 64 }],
    [q4],
    [{ dtype: 'q4', group: 32 }],
  ])('finds all parts of %p', async (quantization) => {
    const folder = await folderOf(quantization);
    const config = await read({});
    const manifest = await readManifest(folder);
    const selected = selectTensors(manifest, { ...config, quantization });
    expect(selected).toMatchObject({ dtype: 'bf16', weights: quantization.dtype, unknown: [] });
    expect(selected.tensors.map((tensor) => tensor.name)).toEqual(
      namedTensors(config.architecture).map((tensor) => tensor.name),
    );
    const found = selected.tensors.find((tensor) => tensor.name === name) as NativeQuantizedTensor;
    const place = (suffix: string) => ({ file: 0, offset: manifest.tensors.get(name + suffix)?.offset });
    expect(found).toEqual({
      role: 'layers.1.mlp.experts.2.down',
      name,
      ...place(''),
      dtype: quantization.dtype,
      shape: [64, 48],
      group: quantizedParts(name, [64, 48], quantization).group,
      scales: place('.scales'),
      minimums: quantization.dtype === 'q8' ? null : place('.minimums'),
    });
    const report = await inspectCheckpoint(folder);
    expect(report).toMatchObject({ weights: quantization.dtype, dtype: 'bf16' });
    const original = await inspectCheckpoint(join(fixtures, 'tiny-moe'));
    expect(report.parameters).toEqual(original.parameters);
    expect(report.bytes).toBe([...manifest.tensors.values()].reduce((sum, { bytes }) => sum + bytes, 0));
  });

  test.each([
    ['q5m', 'q5'],
    ['q4m', 'q4'],
  ] as const)(
    'of a %s checkpoint has attention and the head in 8 bits, and the rest in %s',
    async (dtype, rest) => {
      const folder = await folderOf({ dtype, group: 64 });
      const config = await read({});
      const selected = selectTensors(await readManifest(folder), {
        ...config,
        quantization: { dtype, group: 64 },
      });
      expect(selected).toMatchObject({ weights: dtype, dtype: 'bf16', unknown: [] });
      const kinds = (dtype: string) =>
        new Set(
          selected.tensors
            .filter((tensor) => tensor.dtype === dtype)
            .map(({ role }) => role.replace(/\.\d+\./g, '.N.').replace(/\.\d+\./g, '.N.')),
        );
      const attention = ['query', 'key', 'value', 'output'].map((part) => `layers.N.attention.${part}`);
      expect(kinds('q8')).toEqual(new Set([...attention, 'head']));
      expect(kinds(rest)).toEqual(
        new Set(['gate', 'up', 'down'].map((part) => `layers.N.mlp.experts.N.${part}`)),
      );
    },
  );

  test.each(['', '.scales', '.minimums'])('names a part that is missing: "%s"', async (suffix) => {
    const folder = await folderOf(q4, without(name + suffix));
    const message = await refusal(folder);
    expect(message).toContain('1 of the');
    expect(message).toContain(JSON.stringify(name + suffix));
  });

  test('names a part that is misshapen, and its file', async () => {
    const folder = await folderOf(q4, changed(`${name}.scales`, { shape: [1, 1, 16] }));
    const message = await refusal(folder);
    expect(message).toContain(join(folder, 'model.safetensors'));
    expect(message).toContain(`"${name}.scales" has shape [1, 1, 16]`);
  });

  test.each([
    ['', { dtype: 'F16' }, 'which is not U8'],
    ['.scales', { dtype: 'BF16' }, 'which is not F16'],
    ['.minimums', { dtype: 'U8' }, 'which is not F16'],
  ])('names a part of another dtype: "%s" %p', async (suffix, change, words) => {
    const message = await refusal(await folderOf(q4, changed(name + suffix, change)));
    expect(message).toContain(JSON.stringify(name + suffix));
    expect(message).toContain(words);
  });

  test('names an unquantized tensor that is integers', async () => {
    const message = await refusal(await folderOf(q4, changed('model.norm.weight', { dtype: 'U8' })));
    expect(message).toContain('"model.norm.weight" is U8');
  });

  test('names an unquantized weight where integers are said to be', async () => {
    const wide = [64, 48];
    const message = await refusal(await folderOf(q4, changed(name, { dtype: 'BF16', shape: wide })));
    expect(message).toContain(`"${name}" has shape [${wide.join(', ')}]`);
  });

  test('does not read scales from an odd place', async () => {
    const odd = { name: 'odd', dtype: 'U8', shape: [1] };
    const message = await refusal(await folderOf(q4, (tensors) => [odd, ...tensors]));
    expect(message).toContain('at an odd offset');
    expect(message).toContain('.scales"');
  });

  test('believes neither the files nor config.json when they disagree', async () => {
    const stored = await storedTensors(q4);
    const folder = (config: object, metadata: Record<string, string>) =>
      temporaryFolder({
        'config.json': JSON.stringify({ ...TINY, ...config }),
        'model.safetensors': evenly(stored, metadata),
      });
    const [is4, is8] = [q4, { ...q4, dtype: 'q8' as const }].map((quantization) => ({
      quantization_config: quantizationConfig(quantization),
    })) as [object, object];
    await inspectCheckpoint(folder(is4, { 'rnd1.format': 'q4' }));
    expect(await refusal(folder({}, { 'rnd1.format': 'q4' }))).toContain(
      'the weights are "q4", but config.json has no quantization_config',
    );
    expect(await refusal(folder(is8, { 'rnd1.format': 'q4' }))).toContain('config.json says q8');
  });
});
