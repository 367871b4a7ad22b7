import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeCheckpoint } from '../../bench/support/checkpoint';
import { DiffusionLM } from '../../lib';
import { root, start } from '../lib/cli/rnd1';
import { sizeOptions, temporaryFolder, tinySizes } from './tiny';

const tiny = sizeOptions(...Object.keys(tinySizes).filter((name) => name !== 'rows' && name !== 'canvases'));

function makeCheckpoint(folder: string, ...options: readonly string[]) {
  const tsx = join(root, 'node_modules', 'tsx', 'dist', 'cli.mjs');
  const script = [tsx, 'bench/make-checkpoint.ts', folder, '--layers', '2', ...tiny, ...options];
  return start(process.execPath, script);
}

async function logitsOf(folder: string, weightDtype = 'bf16'): Promise<Float32Array> {
  const model = await DiffusionLM.load(folder, { device: 'cpu', dtype: 'f32', threads: 2 });
  try {
    expect(model.info).toMatchObject({ weightDtype, unknownTensors: [] });
    const tokens = Int32Array.from({ length: 12 }, (_, i) => i * 5);
    return (await model.forward(tokens)).logits;
  } finally {
    await model.dispose();
  }
}

const deviation = (values: Float32Array) =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

test('the checkpoint loads and computes, the same in one file or several', async () => {
  const whole = join(temporaryFolder(), 'whole');
  const sharded = join(temporaryFolder(), 'sharded');
  expect(await makeCheckpoint(whole)).toMatchObject({ code: 0, stderr: '' });
  expect(await makeCheckpoint(sharded, '--shard-bytes', '60000')).toMatchObject({ code: 0, stderr: '' });
  expect(readdirSync(whole).sort()).toEqual(['config.json', 'model.safetensors']);
  expect(readdirSync(sharded)).toEqual(
    expect.arrayContaining(['model-00002-of-00007.safetensors', 'model.safetensors.index.json']),
  );

  const logits = await logitsOf(whole);
  expect(logits).toHaveLength(12 * 300);
  expect(deviation(logits)).toBeGreaterThan(0.5);
  expect(deviation(logits)).toBeLessThan(10);
  expect(await logitsOf(sharded)).toEqual(logits);
});

test.each(['q8', 'q4'])('integers at random give a checkpoint that computes: %s', async (dtype) => {
  const folder = join(temporaryFolder(), 'quantized');
  expect(await makeCheckpoint(folder, '--dtype', dtype)).toMatchObject({ code: 0, stderr: '' });
  const logits = await logitsOf(folder, dtype);
  expect(deviation(logits)).toBeGreaterThan(0.5);
  expect(deviation(logits)).toBeLessThan(10);
});

test('another seed, other weights', async () => {
  const folders = await Promise.all(
    ['1', '2'].map(async (seed) => {
      const folder = join(temporaryFolder(), 'model');
      expect(await makeCheckpoint(folder, '--seed', seed)).toMatchObject({ code: 0 });
      return folder;
    }),
  );
  const [one, two] = await Promise.all(folders.map((folder) => logitsOf(folder)));
  expect(one).not.toEqual(two);
});

test('a folder that exists is left alone', async () => {
  const folder = temporaryFolder();
  const { code, stderr } = await makeCheckpoint(folder);
  expect({ code, stderr }).toEqual({ code: 1, stderr: `${folder} exists already\n` });
  expect(readdirSync(folder)).toEqual([]);
});

test('nothing is left of what was interrupted', async () => {
  const parent = temporaryFolder();
  const interrupted = new AbortController();
  const reason = new Error('stop');
  const sizes = {
    layers: 2,
    hidden: 64,
    heads: 4,
    keyValueHeads: 2,
    headDim: 32,
    experts: 8,
    expertsPerToken: 2,
  };
  const rest = { expertWidth: 32, vocabulary: 300, maxPositions: 512, rmsNormEpsilon: 1e-6, ropeTheta: 1e6 };
  const written = writeCheckpoint(join(parent, 'model'), {
    sizes: { ...sizes, ...rest, normTopkProb: true, tieWordEmbeddings: false },
    seed: 1,
    shardBytes: 1e9,
    signal: interrupted.signal,
    onProgress: (bytes, totalBytes) => {
      expect(readdirSync(parent)).toEqual([expect.stringMatching(/^model\.partial-/)]);
      if (bytes > totalBytes / 2) interrupted.abort(reason);
    },
  });
  await expect(written).rejects.toBe(reason);
  expect(readdirSync(parent)).toEqual([]);
});
