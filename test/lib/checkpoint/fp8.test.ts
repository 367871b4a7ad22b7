import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DiffusionLM, quantizeCheckpoint } from '../../../lib';
import { embeddedFolder } from '../../../lib/checkpoint/embedded';
import { inspectCheckpoint } from '../../../lib/checkpoint/inspect';
import { readManifest } from '../../../lib/checkpoint/manifest';
import { quantizationConfig, quantizedParts } from '../../../lib/checkpoint/quantization';
import { selectTensors } from '../../../lib/checkpoint/tensors';
import { planLoad } from '../../../lib/runtime/load-plan';
import type { NativeFloatTensor, NativeSystem } from '../../../types/native';
import { dequantizeCheckpoint } from '../../support/dequantize';
import { readTensors, safetensorsBytes } from '../../support/safetensors';
import { namedTensors } from './architectures';
import { evenly, failure, temporaryFolder } from './files';
import { read, TINY } from './tiny-config';

const fp8 = { dtype: 'fp8', group: 128 } as const;
const config = (change: Record<string, unknown> = {}) => ({ ...quantizationConfig(fp8), ...change });

interface Stored {
  name: string;
  dtype: string;
  shape: readonly number[];
}

/** The tiny model as FP8 checkpoints of others have it. */
async function folderOf(change: (tensors: Stored[]) => Stored[] = (tensors) => tensors): Promise<string> {
  const { architecture } = await read({});
  const tensors = namedTensors(architecture).flatMap(({ name, shape, matmul }): Stored[] => {
    if (!matmul || name === 'lm_head.weight') return [{ name, dtype: 'BF16', shape }];
    const { data, scales } = quantizedParts(name, shape, fp8);
    return [data, { ...scales, dtype: 'BF16' }];
  });
  return temporaryFolder({
    'config.json': JSON.stringify({ ...TINY, quantization_config: config() }),
    'model.safetensors': evenly(change(tensors)),
  });
}

const name = 'model.layers.1.mlp.experts.2.down_proj.weight';
const changed = (target: string, change: Partial<Stored>) => (tensors: Stored[]) =>
  tensors.map((tensor) => (tensor.name === target ? { ...tensor, ...change } : tensor));

describe('quantization_config of fp8', () => {
  test('is read as it is written, with or without what is optional', async () => {
    for (const change of [
      {},
      { fmt: undefined, activation_scheme: undefined, modules_to_not_convert: null },
    ]) {
      expect((await read({ quantization_config: config(change) })).quantization).toEqual(fp8);
    }
  });

  test.each([
    [{ fmt: 'e5m2' }, 'fmt "e5m2"'],
    [{ activation_scheme: 'static' }, 'activation_scheme "static"'],
    [{ weight_block_size: [64, 128] }, 'weight_block_size [64,128]'],
    [{ weight_block_size: undefined }, 'weight_block_size'],
  ])('%p is refused by name', async (change, words) => {
    const message = await failure(() => read({ quantization_config: config(change) }), 'unsupported_model');
    expect(message).toContain('config.json');
    expect(message).toContain(words);
  });
});

describe('selecting tensors in fp8', () => {
  test('finds numbers and scales, and leaves what has none', async () => {
    const folder = await folderOf();
    const manifest = await readManifest(folder);
    const selected = selectTensors(manifest, { ...(await read({})), quantization: fp8 });
    expect(selected).toMatchObject({ dtype: 'bf16', weights: 'fp8', unknown: [] });
    const place = (suffix: string) => ({ file: 0, offset: manifest.tensors.get(name + suffix)?.offset });
    expect(selected.tensors.find((tensor) => tensor.name === name)).toEqual({
      role: 'layers.1.mlp.experts.2.down',
      name,
      ...place(''),
      dtype: 'bf16',
      blocks: 'F8_E4M3',
      blockScales: { ...place('_scale_inv'), dtype: 'bf16' },
      shape: [64, 48],
    });
    const head = selected.tensors.find(({ role }) => role === 'head') as NativeFloatTensor;
    expect(head).toMatchObject({ dtype: 'bf16', name: 'lm_head.weight' });
    expect(head.blocks).toBeUndefined();
    expect(selected.kept.get('layers.1.mlp.experts.2.down')).toEqual(fp8);
    expect(selected.kept.has('head')).toBe(false);
  });

  test.each<[string, Partial<Stored>, string]>([
    [name, { dtype: 'U8' }, `${name}" is U8, which is not F8_E4M3`],
    [`${name}_scale_inv`, { dtype: 'U8' }, `${name}_scale_inv" is U8, which is none of F32, F16, BF16`],
    [
      `${name}_scale_inv`,
      { shape: [1, 2] },
      `${name}_scale_inv" has shape [1, 2], the configuration needs [1, 1]`,
    ],
    [name, { shape: [48, 64] }, `${name}" has shape [48, 64]`],
  ])('%s %p is refused by name', async (target, change, words) => {
    const folder = await folderOf(changed(target, change));
    expect(await failure(() => inspectCheckpoint(folder), 'invalid_checkpoint')).toContain(words);
  });

  test('numbers without scales are refused', async () => {
    const folder = await folderOf((tensors) =>
      tensors.filter((tensor) => tensor.name !== `${name}_scale_inv`),
    );
    expect(await failure(() => inspectCheckpoint(folder), 'invalid_checkpoint')).toContain(
      `${name}" is F8_E4M3, which is none of F32, F16, BF16`,
    );
  });
});

describe('the plan of loading', () => {
  const gpu = { device: 'cuda:0', name: 'large', bytes: 1e9 };
  const systemWith = (gpus: NativeSystem['gpus']) => (): NativeSystem => ({
    instructionSets: [],
    compiledInstructionSets: [],
    gpus,
    cudaUnavailable: null,
  });

  async function planned(
    dtype: Parameters<typeof planLoad>[2]['dtype'],
    gpus: NativeSystem['gpus'],
    device: 'auto' | 'cpu' | 'cuda' = 'auto',
  ) {
    const folder = await folderOf();
    const checkpoint = await read({});
    const selected = selectTensors(await readManifest(folder), { ...checkpoint, quantization: fp8 });
    const plan = planLoad(folder, { config: checkpoint, selected }, { device, dtype }, systemWith(gpus));
    const tensor = plan.tensors.find((found) => found.name === name) as NativeFloatTensor;
    return { plan, tensor };
  }

  test('keeps fp8 on a GPU, and decodes it on a CPU', async () => {
    for (const dtype of ['auto', 'fp8'] as const) {
      const { plan, tensor } = await planned(dtype, [gpu]);
      expect(plan).toMatchObject({ device: 'cuda:0', computeDtype: 'bf16', weights: 'fp8', quantize: null });
      expect(tensor).toMatchObject({ dtype: 'bf16', quantize: fp8 });
    }
    for (const [gpus, device] of [[[], 'auto'] as const, [[gpu], 'cpu'] as const]) {
      const { plan, tensor } = await planned('auto', gpus, device);
      expect(plan).toMatchObject({ device: 'cpu', computeDtype: 'bf16', weights: 'bf16', quantize: null });
      expect(tensor.quantize).toBeUndefined();
    }
  });

  test('decodes to what is asked for, and quantizes again', async () => {
    for (const gpus of [[gpu], []]) {
      expect((await planned('f32', gpus)).plan).toMatchObject({ computeDtype: 'f32', weights: 'f32' });
      expect((await planned('f32', gpus)).tensor).toMatchObject({ dtype: 'f32', blocks: 'F8_E4M3' });
      expect((await planned('q4', gpus)).plan).toMatchObject({
        weights: 'q4',
        quantize: { dtype: 'q4', group: 64 },
      });
    }
  });

  test('is an error for fp8 on a CPU', async () => {
    expect(await failure(() => planned('fp8', []), 'unsupported_model')).toContain("dtype 'fp8' is for GPUs");
    expect(await failure(() => planned('fp8', [gpu], 'cpu'), 'unsupported_model')).toContain("'q8'");
  });
});

describe('a checkpoint in fp8', () => {
  let folder = '';
  beforeAll(async () => {
    folder = temporaryFolder();
    await quantizeCheckpoint(embeddedFolder, folder, { dtype: 'fp8' });
  });

  const logitsOf = async (place: string, dtype: 'f32' | 'bf16' | 'q8') => {
    const model = await DiffusionLM.load(place, { device: 'cpu', dtype, threads: 2 });
    const { logits } = await model.forward(Int32Array.from({ length: 37 }, (_, i) => (i * 11) % 256));
    await model.dispose();
    return Buffer.from(logits.buffer);
  };

  test('says so, as others do', async () => {
    const { quantization_config: written } = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
    expect(written).toEqual({
      quant_method: 'fp8',
      fmt: 'e4m3',
      activation_scheme: 'dynamic',
      weight_block_size: [128, 128],
      modules_to_not_convert: [0, 1, 2, 3].map((layer) => `model.layers.${layer}.mlp.gate`).concat('lm_head'),
    });
    const tensors = readTensors(folder);
    const of = (tensor: string) => tensors.get(`model.layers.2.self_attn.${tensor}`);
    expect(of('k_proj.weight')).toMatchObject({ dtype: 'F8_E4M3', shape: [64, 128] });
    expect(of('k_proj.weight_scale_inv')).toMatchObject({ dtype: 'F32', shape: [1, 1] });
    expect(tensors.get('lm_head.weight')).toMatchObject({ dtype: 'BF16' });
    expect(await inspectCheckpoint(folder)).toMatchObject({ weights: 'fp8', dtype: 'bf16', unknown: [] });
  });

  test('computes what its numbers times their scales do, whatever the dtype of the scales', async () => {
    const [wide, narrow] = [temporaryFolder(), temporaryFolder()];
    expect(dequantizeCheckpoint(embeddedFolder, folder, wide)).toBe(4 * (4 + 8 * 3));
    cpSync(folder, narrow, { recursive: true });
    const tensors = readTensors(folder);
    for (const [scaleName, scale] of tensors) {
      if (!scaleName.endsWith('_scale_inv')) continue;
      // Powers of two lose nothing as BF16.
      const bytes = Buffer.concat(
        Array.from({ length: scale.bytes.length / 4 }, (_, i) => scale.bytes.subarray(4 * i + 2, 4 * i + 4)),
      );
      tensors.set(scaleName, { ...scale, dtype: 'BF16', bytes });
    }
    writeFileSync(join(narrow, 'model.safetensors'), safetensorsBytes(tensors));
    const expected = await logitsOf(wide, 'f32');
    expect((await logitsOf(folder, 'f32')).equals(expected)).toBe(true);
    expect((await logitsOf(narrow, 'f32')).equals(expected)).toBe(true);
    expect((await logitsOf(embeddedFolder, 'f32')).equals(expected)).toBe(false);
  });

  test('may be made smaller, but not fp8 again', async () => {
    const out = temporaryFolder();
    const report = await quantizeCheckpoint(folder, out, { dtype: 'q8' });
    expect(report).toMatchObject({ dtype: 'q8', group: 64 });
    expect((await logitsOf(out, 'q8')).equals(await logitsOf(folder, 'q8'))).toBe(true);
    const again = () => quantizeCheckpoint(folder, temporaryFolder(), { dtype: 'fp8' });
    expect(await failure(again, 'unsupported_model')).toContain('is fp8 already');
    await expect(
      quantizeCheckpoint(embeddedFolder, temporaryFolder(), { dtype: 'fp8', group: 32 }),
    ).rejects.toThrow('group is not for fp8');
  });

  test('is refused by file and tensor where its scales end too early', async () => {
    const cut = temporaryFolder();
    cpSync(folder, cut, { recursive: true });
    const path = join(cut, 'model.safetensors');
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.subarray(0, bytes.length - 10));
    expect(await failure(() => DiffusionLM.load(cut, { device: 'cpu' }), 'invalid_checkpoint')).toContain(
      path,
    );
  });
});
