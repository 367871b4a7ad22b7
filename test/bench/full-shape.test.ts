import { expectPositive, runScript } from './tiny';

test('bench/full-shape.ts prints times and memory', async () => {
  const { stdout, json } = await runScript('full-shape.ts', ['--quick', '--length', '24', '--threads', '2']);
  expect(json).toMatchObject({
    bench: 'full-shape',
    device: 'cpu',
    threads: 2,
    dtype: 'bf16',
    weights: 'q4',
  });
  expect(json.figures).toHaveLength(1);
  expect(json.figures[0]).toMatchObject({ length: 24, masked: 21 });
  expectPositive(json.figures[0], ['secondsPerStep', 'loadSeconds', 'weightBytes']);
  expect(stdout).toMatch(/a step of 24 positions, 21 masked: .* \(median of 5\)/);
});

test('a wrong option fails and is quoted', async () => {
  await expect(runScript('full-shape.ts', ['--quick', '--weights', 'q6'])).rejects.toThrow(/'q6'/);
  await expect(runScript('full-shape.ts', ['--quick', '--length', '0'])).rejects.toThrow(/--length/);
});
