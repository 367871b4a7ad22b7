import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiffusionLM, type ForwardOptions, type LoadOptions, quantizeCheckpoint } from '../../lib';
import { dequantizeCheckpoint } from '../support/dequantize';
import { familyCheckpoints, familyFolder, familyTokens, openFamily } from '../support/families';
import { closeModels } from '../support/models';
import { normalisedError, sameBits } from '../support/tolerance';

// Random weights make attention so sharp that 4 bits change most predictions, in RND1's tiny checkpoints as well (NMSE
// 0.4 and 0.6): bounds as in quantized.test.ts need a trained model. So routes are forced, and a quantized model is
// compared with one whose weights are the numbers that it stores.

const tokens = Int32Array.from({ length: 77 }, (_, i) => (i * i * 7 + i * 13) % 340);
const hasExperts = (checkpoint: string) => /moe|llada2/.test(checkpoint);

/** Bound on the NMSE from rounding weights, or the inputs of matmuls, to 8 bits. */
const eightBits = 5e-3;

let scratch = '';
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'rnd1-families-'));
});
afterAll(async () => {
  await closeModels();
  rmSync(scratch, { recursive: true, force: true });
});

/** A pass of f32 and the options that make others take its routes. */
async function exactly(model: DiffusionLM, experts: boolean) {
  const { logits, routing = [] } = await model.forward(tokens, { routing: experts });
  const forcedExperts = Int32Array.from(routing.flatMap(({ expertIds }) => [...expertIds]));
  const options: ForwardOptions = experts ? { forcedExperts } : {};
  return { logits, options };
}

async function logitsOf(folder: string, load: LoadOptions, options: ForwardOptions = {}) {
  const model = await DiffusionLM.load(folder, { device: 'cpu', threads: 2, ...load });
  try {
    return (await model.forward(tokens, options)).logits;
  } finally {
    await model.dispose();
  }
}

describe.each(familyCheckpoints)('%s', (checkpoint) => {
  const folder = familyFolder(checkpoint);
  const load = familyTokens(checkpoint);
  const experts = hasExperts(checkpoint);

  test.each(['bf16', 'f16'] as const)('%s stays near f32 when routed alike', async (dtype) => {
    const { logits, options } = await exactly(await openFamily(checkpoint, { device: 'cpu' }), experts);
    const error = normalisedError(await logitsOf(folder, { ...load, dtype }, options), logits);
    expect(error).toBeLessThanOrEqual(5e-3);
    // Above the noise of f32: 16-bit arithmetic was really used.
    expect(error).toBeGreaterThan(1e-9);
  });

  test.each(['q8', 'q4'] as const)('%s computes what its stored weights say', async (dtype) => {
    const [quantized, plain] = [
      join(scratch, `${checkpoint}-${dtype}`),
      join(scratch, `${checkpoint}-f32-${dtype}`),
    ];
    mkdirSync(plain);
    await quantizeCheckpoint(folder, quantized, { dtype });
    const matmuls = dequantizeCheckpoint(folder, quantized, plain);
    expect(matmuls).toBeGreaterThan(15);

    const model = await DiffusionLM.load(plain, { device: 'cpu', dtype: 'f32', threads: 2, ...load });
    const { logits, options } = await exactly(model, experts);
    await model.dispose();
    const stored = await logitsOf(quantized, { ...load, dtype: 'f32' }, options);
    const original = await logitsOf(folder, { ...load, dtype: 'f32' }, options);
    const error = normalisedError(stored, logits);
    const weights = normalisedError(logits, original);
    process.stdout.write(
      `${checkpoint}, ${dtype}: NMSE ${error.toExponential(1)} from activations, ${weights.toExponential(1)} from weights\n`,
    );
    expect(error).toBeLessThanOrEqual(eightBits);
    if (dtype === 'q8') expect(weights).toBeLessThanOrEqual(eightBits);
    // Weights and activations were really quantized.
    expect(error).toBeGreaterThan(1e-6);
    expect(weights).toBeGreaterThan(dtype === 'q8' ? 1e-6 : 5e-3);
  });

  test.each(['q8', 'q4'] as const)(
    '%s: quantizing a folder and while loading give the same bits',
    async (dtype) => {
      const quantized = join(scratch, `${checkpoint}-${dtype}-bits`);
      const report = await quantizeCheckpoint(folder, quantized, { dtype, threads: 2 });
      expect(report.dtype).toBe(dtype);
      const [written, loaded, others] = [
        await logitsOf(quantized, load),
        await logitsOf(folder, { ...load, dtype }),
        await logitsOf(folder, { ...load, dtype, threads: 1 }),
      ];
      expect(sameBits(written, loaded)).toBe(true);
      expect(sameBits(others, loaded)).toBe(true);
    },
  );
});
