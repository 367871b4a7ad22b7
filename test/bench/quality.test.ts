import { join } from 'node:path';
import { root } from '../lib/cli/rnd1';
import { runScript } from './tiny';

const nano = join(root, 'models', 'nano');

test('bench/quality.ts prints what fewer bits cost, and writes the same', async () => {
  const { stdout, json } = await runScript('quality.ts', [
    ...['--dtypes', 'q4', '--canvases', '2', '--questions', '4', '--runs', '1', '--threads', '2'],
  ]);
  expect(stdout).toMatch(/^bf16 .*–.*\nq4 +1\.09 MB .* %$/m);
  const [{ folder, qualities }] = json.models;
  expect(folder).toBe(nano);
  expect(qualities).toMatchObject([
    { weights: 'bf16', distance: null },
    { weights: 'q4', distance: { kl: expect.any(Number), agreement: expect.any(Number) } },
  ]);
  expect(qualities[1].bytes).toBeLessThan(qualities[0].bytes / 3);
  expect(qualities[1].distance.kl).toBeGreaterThan(0);
  expect(qualities[1].distance.agreement).toBeLessThanOrEqual(1);
});

test('bench/large.ts prints load time, steps and memory, and writes the same', async () => {
  const { stdout, json } = await runScript('large.ts', [
    nano,
    ...['--length', '32', '--steps', '3', '--threads', '2'],
  ]);
  expect(stdout).toMatch(/^32 positions: first step .*, median of the others .*/m);
  expect(json).toMatchObject({ bench: 'large', threads: 2, dtype: 'bf16', weights: 'bf16', length: 32 });
  expect(json.steps).toHaveLength(3);
  for (const seconds of [json.loadSeconds, ...json.steps]) expect(seconds).toBeGreaterThan(0);
});
