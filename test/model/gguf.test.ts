import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiffusionLM, type ForwardOutput, type LoadOptions, quantizeCheckpoint } from '../../lib';
import { dequantizeCheckpoint } from '../support/dequantize';
import { familyFolder, familyTokens } from '../support/families';
import type { TensorType } from '../support/gguf/blocks';
import { type ConvertOptions, convertCheckpoint } from '../support/gguf/convert';
import { fixturesFolder } from '../support/goldens';
import { device } from '../support/models';
import { readTensors } from '../support/safetensors';

const scratch = mkdtempSync(join(tmpdir(), 'rnd1-gguf-'));
afterAll(() => rmSync(scratch, { recursive: true }));

const families = ['tiny-llada', 'tiny-dream', 'tiny-llada-moe', 'tiny-qwen3-moe', 'tiny-qwen3'] as const;
const checkpoints: readonly (readonly [string, string, LoadOptions])[] = [
  ['tiny-moe', join(fixturesFolder, 'tiny-moe'), {}],
  ...families.map((name) => [name, familyFolder(name), familyTokens(name)] as const),
];

const written = new Map<string, { readonly gguf: string; readonly twin: string }>();

/** Writes a checkpoint as GGUF and its numbers as f32; returns both folders, which are written once. */
function convert(folder: string, options: ConvertOptions) {
  const key = JSON.stringify([folder, options, options.typeOf?.toString(), options.bytesOf?.toString()]);
  const known = written.get(key);
  if (known !== undefined && options.bytesOf === undefined) return known;
  const place = mkdtempSync(join(scratch, 'twin-'));
  const paths = { gguf: join(place, 'gguf'), twin: join(place, 'twin') };
  convertCheckpoint(folder, paths.gguf, paths.twin, options);
  written.set(key, paths);
  return paths;
}

const tokens = Array.from({ length: 23 }, (_, i) => (i * 37 + 11) % 360);

async function forward(
  path: string,
  options: LoadOptions,
): Promise<{ result: ForwardOutput; model: DiffusionLM }> {
  const model = await DiffusionLM.load(path, { device, threads: 2, ...options });
  try {
    return { result: await model.forward(tokens), model };
  } finally {
    await model.dispose();
  }
}

const logits = async (path: string, options: LoadOptions) =>
  (await forward(path, options)).result.logits as Float32Array;

/** Squared error in relation to the squared values. */
function errorOf(values: Float32Array, expected: Float32Array): number {
  let [error, size] = [0, 0];
  expected.forEach((value, i) => {
    error += ((values[i] as number) - value) ** 2;
    size += value ** 2;
  });
  return error === 0 ? 0 : error / size;
}

/** The largest `errorOf` of the weights that `counts` selects, both folders having f32 numbers. */
function weightError(folder: string, expected: string, counts: (name: string) => boolean): number {
  const numbers = ({ bytes }: { bytes: Buffer }) => new Float32Array(new Uint8Array(bytes).buffer);
  const weights = readTensors(folder);
  let worst = 0;
  for (const [name, tensor] of readTensors(expected)) {
    if (!counts(name)) continue;
    const own = weights.get(name);
    if (own === undefined) throw new Error(`no ${name}`);
    if (own.dtype === 'F32') worst = Math.max(worst, errorOf(numbers(own), numbers(tensor)));
  }
  return worst;
}

describe.each(checkpoints)('%s', (_, folder, options) => {
  test.each<TensorType>(['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0'])(
    '%s has the logits of its numbers',
    async (type) => {
      const { gguf, twin } = convert(folder, { type });
      const expected = await logits(twin, { ...options, dtype: 'f32' });
      for (const mmap of [true, false]) {
        expect(await logits(join(gguf, 'model.gguf'), { ...options, dtype: 'f32', mmap })).toEqual(expected);
      }
    },
  );
});

describe('types of 256 columns', () => {
  const wide = join(fixturesFolder, 'tiny-wide');

  test.each<TensorType>(['Q4_K', 'Q5_K', 'Q6_K'])('%s has the logits of its numbers', async (type) => {
    const { gguf, twin } = convert(wide, { type });
    const path = join(gguf, 'model.gguf');
    expect(await logits(path, { dtype: 'f32' })).toEqual(await logits(twin, { dtype: 'f32' }));
  });

  test('numbers are those of another implementation, bit for bit', async () => {
    const golden = JSON.parse(readFileSync(join(fixturesFolder, 'gguf', 'blocks.json'), 'utf8')) as {
      types: Record<string, { bytes: string; f32: string }>;
    };
    for (const [type, { bytes, f32 }] of Object.entries(golden.types)) {
      const { gguf } = convert(wide, {
        type: 'F32',
        typeOf: (name) => (name === 'token_embd.weight' ? (type as TensorType) : undefined),
        bytesOf: (name) => (name === 'token_embd.weight' ? Buffer.from(bytes, 'base64') : undefined),
      });
      const model = await DiffusionLM.load(join(gguf, 'model.gguf'), { device, dtype: 'f32' });
      const { hidden } = await model.forward([0, 1], { hidden: true });
      await model.dispose();
      const expected = new Float32Array(new Uint8Array(Buffer.from(f32, 'base64')).buffer);
      // The other implementation has −0 where this one has 0.
      const numbers = (values: Float32Array | undefined) => values?.map((value) => value + 0);
      expect([type, numbers(hidden?.embed)]).toEqual([type, numbers(expected)]);
    }
  });
});

describe("dtype 'auto' keeps", () => {
  // A quantized model differs by its activations, which are integers, too: compared with the same of the numbers.
  const cases: readonly (readonly [TensorType, 'q8' | 'q5' | 'q4', number])[] = [
    ['Q8_0', 'q8', 0],
    ['Q4_0', 'q4', 0],
    ['Q4_K', 'q4', 1e-6],
    ['Q5_0', 'q5', 0],
    ['Q5_K', 'q5', 1e-6],
    ['Q6_K', 'q8', 5e-5],
  ];
  const wide = join(fixturesFolder, 'tiny-wide');

  test.each(cases)('%s as %s', async (type, dtype, limit) => {
    const { gguf, twin } = convert(wide, { type });
    const path = join(gguf, 'model.gguf');
    const { result, model } = await forward(path, {});
    expect(model.info).toMatchObject({ weightDtype: dtype, dtype: 'bf16' });
    const numbers = join(twin, '..', 'numbers');
    mkdirSync(numbers);
    const kept = join(twin, '..', 'kept');
    await quantizeCheckpoint(path, kept, { dtype });
    expect(dequantizeCheckpoint(twin, kept, numbers)).toBeGreaterThan(0);
    // The same integers, from a file.
    expect(errorOf(await logits(kept, { dtype: 'auto' }), result.logits)).toBeLessThan(
      /Q[45]_K/.test(type) ? 2e-2 : 1e-6,
    );
    // The columns of those are no whole blocks of 256: they are Q8_0, of which q4 and q5 lose more.
    const error = weightError(
      numbers,
      twin,
      (name) => !/Q[45]_K/.test(type) || !name.includes('.down_proj.'),
    );
    expect(error).toBeLessThanOrEqual(limit);
    if (limit > 0) expect(error).toBeGreaterThan(0);
  });

  test('q4 if the types of 4 bits are together, else q8', async () => {
    const { gguf } = convert(wide, {
      type: 'Q4_K',
      typeOf: (name) => (/attn_v|output\.weight|^token/.test(name) ? 'Q6_K' : undefined),
    });
    const { result } = await forward(join(gguf, 'model.gguf'), {});
    const f32 = await logits(join(gguf, 'model.gguf'), { dtype: 'f32' });
    expect(errorOf(result.logits, f32)).toBeLessThan(1e-2);
  });

  test('integers that only other programs write, nearly', async () => {
    // 1/128 and 32 times −128.
    const block = Buffer.concat([Buffer.from([0x00, 0x20]), Buffer.alloc(32, 0x80)]);
    const { gguf, twin } = convert(wide, {
      type: 'Q8_0',
      bytesOf: (name) => (name === 'blk.0.attn_q.weight' ? block : undefined),
    });
    const [kept, numbers] = [join(twin, '..', 'kept'), join(twin, '..', 'numbers')];
    mkdirSync(numbers);
    await quantizeCheckpoint(join(gguf, 'model.gguf'), kept, { dtype: 'q8' });
    dequantizeCheckpoint(twin, kept, numbers);
    const { bytes } = readTensors(numbers).get('model.layers.0.self_attn.q_proj.weight') ?? {};
    expect(Array.from({ length: 33 }, (_, i) => bytes?.readFloatLE(4 * i)).slice(0, 32)).toEqual(
      new Array(32).fill(-127 / 128),
    );
  });

  test('nothing for another dtype', async () => {
    const { gguf } = convert(wide, { type: 'Q4_0' });
    const path = join(gguf, 'model.gguf');
    for (const dtype of ['f32', 'f16', 'bf16'] as const) {
      const { model } = await forward(path, { dtype });
      expect(model.info).toMatchObject({ weightDtype: dtype, dtype });
    }
    expect((await forward(path, { dtype: 'q8' })).model.info.weightDtype).toBe('q8');
  });
});

test('a split file has the logits of a whole one', async () => {
  const folder = familyFolder('tiny-llada');
  const { gguf, twin } = convert(folder, { type: 'F16', parts: 3 });
  const expected = await logits(twin, { dtype: 'f32' });
  expect(await logits(join(gguf, 'model-00001-of-00003.gguf'), { dtype: 'f32' })).toEqual(expected);
  expect(await logits(gguf, { dtype: 'f32' })).toEqual(expected);
  await expect(logits(join(gguf, 'model-00002-of-00003.gguf'), {})).rejects.toThrow('name the first one');
  rmSync(join(gguf, 'model-00003-of-00003.gguf'));
  await expect(logits(gguf, {})).rejects.toThrow(/model-00003-of-00003\.gguf is missing/);
});

test('quantizing a GGUF file gives the checkpoint of its numbers', async () => {
  for (const name of ['tiny-llada', 'tiny-llada-moe'] as const) {
    const { gguf, twin } = convert(familyFolder(name), { type: 'F32' });
    const [from, expected] = [join(gguf, 'q8'), join(twin, 'q8')];
    await quantizeCheckpoint(join(gguf, 'model.gguf'), from, { dtype: 'q8', group: 32 });
    await quantizeCheckpoint(twin, expected, { dtype: 'q8', group: 32 });
    const options = { ...familyTokens(name), dtype: 'auto' as const };
    expect(await logits(from, options)).toEqual(await logits(expected, options));
  }
});
