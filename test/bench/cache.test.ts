import { expectPositive, runScript } from './tiny';

test('bench/cache.ts prints rows and times with and without a cache', async () => {
  const { stdout, json } = await runScript('cache.ts', ['--quick', '--steps', '4', '--threads', '2']);
  expect(json).toMatchObject({ bench: 'cache', device: 'cpu', threads: 2, dtype: 'bf16', weights: 'q4' });
  const [plain, exact, full, dual] = json.figures;
  // Four blocks of 32, four steps each. The first step of a block also computes the one before.
  expect(plain).toMatchObject({
    model: 'LLaDA2-mini',
    cache: 'none',
    rows: 4 * (32 + 64 + 96 + 128),
    steps: 16,
  });
  expect(exact).toMatchObject({ model: 'LLaDA2-mini', cache: 'exact', rows: 16 * 32 + 3 * 32, steps: 16 });
  // The first step of a block computes everything, the others its rows and the one before them.
  expect(full).toMatchObject({ model: 'RND1', cache: 'none', rows: 16 * 128, cacheBytes: 0 });
  expect(dual).toMatchObject({ model: 'RND1', cache: 'dual', rows: 4 * 128 + 3 * 32 + 9 * 33 });
  for (const figure of json.figures) expectPositive(figure, ['secondsPerStep', 'tokensPerSecond']);
  expect(exact.cacheBytes).toBe(128 * 4 * 2 * 64 * 2);
  const lines = stdout.trimEnd().split('\n');
  expect(lines).toHaveLength(2 + json.figures.length);
  expect(lines[3]).toMatch(/^LLaDA2-mini +exact +608 +38\.0 .* 2\.1 × /);
});

test('a wrong option fails and is quoted', async () => {
  await expect(runScript('cache.ts', ['--quick', '--weights', 'q6'])).rejects.toThrow(/'q6'/);
  await expect(runScript('cache.ts', ['--quick', '--positions', '100'])).rejects.toThrow(/multiple of 32/);
});
