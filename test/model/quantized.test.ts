import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { canvasesFor, type Distance, distance, type Opinion, opinionOf } from '../../bench/support/quality';
import { DiffusionLM, type DType, quantizeCheckpoint } from '../../lib';
import { embeddedFolder } from '../../lib/checkpoint/embedded';
import { expertsOf } from '../../lib/families/traits';
import { device } from '../support/models';

/** Bounds on the difference between predictions with quantized and with bf16 weights, on the embedded model's tasks. */
const bounds = [
  { dtype: 'q8', kl: 1e-3, agreement: 0.99, nmse: 5e-3, routes: 0.98 },
  { dtype: 'q5m', kl: 2.5e-3, agreement: 0.99, nmse: 7e-3, routes: 0.95 },
  { dtype: 'q4m', kl: 5e-3, agreement: 0.99, nmse: 1.5e-2, routes: 0.95 },
  { dtype: 'q4', kl: 1.5e-2, agreement: 0.97, nmse: 5e-2, routes: 0.92 },
] as const;

const onDevice = { device, threads: 2 } as const;
let canvases: Awaited<ReturnType<typeof canvasesFor>>;
let reference: Opinion;

async function withModel<T>(
  dtype: DType,
  use: (model: DiffusionLM) => Promise<T>,
  folder?: string,
): Promise<T> {
  const model = await DiffusionLM.load(folder, { ...onDevice, dtype });
  try {
    return await use(model);
  } finally {
    await model.dispose();
  }
}

beforeAll(() =>
  withModel('bf16', async (model) => {
    canvases = await canvasesFor(model, 24);
    reference = await opinionOf(model, canvases);
  }),
);

const distanceOf = (dtype: DType, folder?: string): Promise<Distance> =>
  withModel(
    dtype,
    async (model) => {
      const { architecture } = model.config;
      const { vocabulary } = architecture;
      const expertsPerToken = expertsOf(architecture)[0]?.expertsPerToken ?? 0;
      return distance(reference, await opinionOf(model, canvases), vocabulary, expertsPerToken);
    },
    folder,
  );

test('the canvases are worth comparing', () => {
  expect(canvases.reduce((sum, { masked }) => sum + masked.length, 0)).toBeGreaterThan(500);
});

test.each(bounds)('$dtype stays near bf16', async ({ dtype, kl, agreement, nmse, routes }) => {
  const found = await distanceOf(dtype);
  process.stdout.write(`${dtype} against bf16: ${JSON.stringify(found)}\n`);
  expect(found.kl).toBeLessThanOrEqual(kl);
  expect(found.nmse).toBeLessThanOrEqual(nmse);
  expect(found.agreement).toBeGreaterThanOrEqual(agreement);
  expect(found.routes).toBeGreaterThanOrEqual(routes);
  // The weights were really quantized.
  expect(found.nmse).toBeGreaterThan({ q8: 2e-4, q5m: 3e-4, q4m: 1e-3, q4: 5e-3 }[dtype]);
});

test('fp8 stays near bf16', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'rnd1-fp8-'));
  try {
    await quantizeCheckpoint(embeddedFolder, folder, { dtype: 'fp8' });
    const found = await distanceOf('auto', folder);
    process.stdout.write(`fp8 against bf16: ${JSON.stringify(found)}\n`);
    expect(found.kl).toBeLessThanOrEqual(1e-3);
    expect(found.nmse).toBeLessThanOrEqual(5e-3);
    expect(found.nmse).toBeGreaterThan(1e-4);
    expect(found.agreement).toBeGreaterThanOrEqual(0.99);
    expect(found.routes).toBeGreaterThanOrEqual(0.96);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.each(['q8', 'q5m', 'q5', 'q4m', 'q4'] as const)(
  '%s gives the same bits with any number of threads',
  async (dtype) => {
    const tokens = Int32Array.from({ length: 77 }, (_, i) => (i * 13) % 256);
    const logits = (threads: number) =>
      DiffusionLM.load(undefined, { device: 'cpu', dtype, threads }).then(async (model) => {
        const { logits } = await model.forward(tokens);
        await model.dispose();
        return Buffer.from(logits.buffer);
      });
    const [one, three] = await Promise.all([logits(1), logits(3)]);
    expect(one?.equals(three as Buffer)).toBe(true);
  },
);
