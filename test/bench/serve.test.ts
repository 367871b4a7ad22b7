import { expectPositive, runScript } from './tiny';

test('bench/serve.ts finds every answer under load equal to the one given alone', async () => {
  const sizes = [
    '--connections',
    '1,6',
    '--requests',
    '12',
    '--max-tokens',
    '12',
    '--steps',
    '4',
    '--threads',
    '2',
  ];
  for (const mode of [[], ['--stream']]) {
    const { stdout, json } = await runScript('serve.ts', [...sizes, ...mode]);
    expect(json).toMatchObject({ bench: 'serve', device: 'cpu' });
    expect(json.figures.map(({ connections }: { connections: number }) => connections)).toEqual([1, 6]);
    for (const figure of json.figures) {
      expectPositive(figure, ['requestsPerSecond', 'tokensPerSecond']);
      expectPositive(figure.latency, ['p50', 'p90', 'p99', 'max']);
      expect(figure.requests).toBe(12);
    }
    // Requests have shared steps: otherwise equal answers would prove nothing.
    expect(json.figures[0].canvasesPerStep).toBe(1);
    expect(json.figures[1].canvasesPerStep).toBeGreaterThan(1.5);
    expect(stdout).toMatch(/^connections +requests .*requests\/s .*p50 .*p99 .*canvases\/step$/m);
    expect(stdout).toMatch(/10 different requests: every answer equals the one given alone\n$/);
  }
});
