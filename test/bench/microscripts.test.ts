import { buildBench } from '../../bench/support/program';
import { nativeProgramsUnavailable } from '../../scripts/native-programs';
import { start } from '../lib/cli/rnd1';
import { expectPositive, runScript, sizeOptions } from './tiny';

// Sizes of their own for every script, and the cases that it must print, in order.
const scripts: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ['matmul', ['rows', 'hidden', 'heads', 'key-value-heads', 'head-dim'], ['qkv', 'output']],
  ['attention', ['rows', 'canvases', 'heads', 'key-value-heads', 'head-dim'], ['full']],
  ['experts', ['rows', 'hidden', 'experts', 'experts-per-token', 'expert-width'], ['even']],
  ['route', ['rows', 'hidden', 'experts', 'experts-per-token'], ['best k']],
  ['norms', ['rows', 'hidden', 'heads', 'key-value-heads', 'head-dim'], ['addRmsNorm', 'normRope']],
  [
    'score',
    ['rows', 'hidden', 'vocabulary'],
    ['greedy + unmask', 'draw + unmask', 'top-p, draw + unmask', 'top-k, top-p, draw + unmask', 'unmask'],
  ],
];

const unavailable = nativeProgramsUnavailable();

// One file for all of them: two must not build in the same folder at the same time.
if (unavailable) {
  console.warn(`The benches are not tested on this machine. ${unavailable}`);
  test('the benches are skipped where they cannot be built', () => {
    expect(unavailable).toMatch(/CMake|compiler|make/);
  });
} else {
  let common: string[] = [];
  beforeAll(() => {
    common = ['--program', buildBench(), '--threads', '2', '--runs', '2', '--effort', '0.001'];
  }, 600_000);

  test.each(scripts)('bench/%s.ts prints a table and writes the same figures', async (name, sizes, cases) => {
    const { stdout, json } = await runScript(`${name}.ts`, [...common, ...sizeOptions(...sizes)]);
    expectPositive(json.peaks, ['copyBytesPerSecond', 'matrixOperationsPerSecond']);
    expect(json).toMatchObject({ bench: name, device: 'cpu', threads: 2, dtype: 'bf16', weights: 'bf16' });
    expect(new Date(json.date).getTime()).toBeGreaterThan(0);
    // null where this is no checkout.
    expect(json.commit ?? '0'.repeat(40)).toMatch(/^[0-9a-f]{40}$/);

    const figures: { case: string; shape: Record<string, number> }[] = json.figures;
    expect([...new Set(figures.map((figure) => figure.case))].sort()).toEqual([...cases].sort());
    expect(figures).toHaveLength(2 * cases.length);
    for (const figure of figures) {
      const counted = figure.case === 'unmask' ? [] : ['operations', 'operationsPerSecond', 'shareOfMatrix'];
      const always = [
        'seconds',
        'shortestSeconds',
        'longestSeconds',
        'bytes',
        'bytesPerSecond',
        'shareOfCopy',
      ];
      expectPositive({ ...figure }, [...always, ...counted]);
    }
    const lines = stdout.trimEnd().split('\n');
    const header = lines.findIndex((line) =>
      /^case .*time .*rate .*of copy .*of matrix .*baseline$/.test(line),
    );
    expect(lines.slice(header + 1)).toHaveLength(figures.length);
    for (const [i, figure] of figures.entries()) expect(lines[header + 1 + i]).toContain(figure.case);
  });

  test('compute dtypes and loads other than the default', async () => {
    const sizes = sizeOptions('rows', 'hidden', 'experts', 'experts-per-token', 'expert-width');
    const skewed = await runScript('experts.ts', [
      ...common,
      ...sizes,
      '--routing',
      'skewed',
      '--dtype',
      'f32',
    ]);
    expect(skewed.json).toMatchObject({ dtype: 'f32', weights: 'bf16' });
    // Half of the experts, the first of them with every row.
    for (const { shape } of skewed.json.figures) {
      expect(shape.expertsHit).toBeGreaterThan(1);
      expect(shape.expertsHit).toBeLessThanOrEqual(4);
    }
  });

  test('a wrong option fails and is quoted', async () => {
    await expect(runScript('route.ts', [...common, '--dtype', 'f33'])).rejects.toThrow(/'f33'/);
  });

  test('bench/step.ts prints both canvases and writes the same figures', async () => {
    const sizes = [
      '--lengths',
      '16,24',
      '--canvases',
      '2',
      '--runs',
      '2',
      '--threads',
      '2',
      '--effort',
      '0.001',
    ];
    const { stdout, json } = await runScript('step.ts', sizes);
    expect(json).toMatchObject({ bench: 'step', device: 'cpu', dtype: 'bf16', weights: 'bf16' });
    expectPositive(json.peaks, ['copyBytesPerSecond', 'matrixOperationsPerSecond']);
    expect(json.figures.map((figure: { case: string }) => figure.case)).toEqual([
      'random, all scored',
      '2 random, masks scored',
      'random, all scored',
      '3 random, masks scored',
    ]);
    for (const figure of json.figures) {
      expectPositive(figure, [
        'seconds',
        'operations',
        'bytes',
        'expertsHit',
        'shareOfCopy',
        'shareOfMatrix',
      ]);
      // Nano: 4 layers of 8 experts, 2 of them for every token.
      expect(figure.experts).toBe(32);
      expect(figure.expertsHit).toBeGreaterThanOrEqual(8);
      expect(figure.expertsHit).toBeLessThanOrEqual(32);
      expect(figure.bytes).toBeLessThan(json.weightBytes);
      const isAll = figure.case === 'random, all scored';
      expect(figure.scored).toBe(2 * (isAll ? figure.length : figure.length - (figure.length >> 3)));
    }
    expect(stdout.trimEnd().split('\n')).toHaveLength(2 + 1 + 1 + json.figures.length);
  });

  test('rnd1_bench step measures whole steps of a model of two layers', async () => {
    const sizes = sizeOptions(
      'hidden',
      'heads',
      'key-value-heads',
      'head-dim',
      'experts',
      'experts-per-token',
    );
    const rest = ['--expert-width', '32', '--vocabulary', '300', '--layers', '2', '--cases', '1x16,3x9'];
    const [, program = '', ...options] = common;
    const { code, stdout, stderr } = await start(program, ['step', ...options, ...sizes, ...rest]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const [peaks, ...steps] = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(peaks.bench).toBe('peaks');
    expect(steps.map((step) => [step.bench, step.case])).toEqual([
      ['step', '1 x 16'],
      ['step', '3 x 9'],
    ]);
    for (const step of steps) {
      expectPositive(step, ['seconds', 'operations', 'bytes', 'copyBytesPerSecond']);
      expect(step.shape.expertsHit).toBeGreaterThan(4);
      expect(step.shape.expertsHit).toBeLessThanOrEqual(8);
    }
  });

  test('bench/scaling.ts prints real and simulated threads and writes the same figures', async () => {
    const sizes = sizeOptions(
      ...['rows', 'vocabulary', 'hidden', 'heads', 'key-value-heads', 'head-dim'],
      ...['experts', 'experts-per-token', 'expert-width'],
    );
    const [, program = ''] = common;
    const { stdout, json } = await runScript('scaling.ts', [
      ...['--program', program, '--threads', '2', '--simulated', '16,64', '--layers', '2', '--runs', '1'],
      ...sizes,
    ]);
    expect(json).toMatchObject({ bench: 'scaling', device: 'cpu', weights: 'bf16', layers: 2 });
    const each = (threads: number, simulated: boolean) => [
      { threads, simulated, rows: 3 },
      { threads, simulated, rows: 5 },
    ];
    expect(json.figures).toMatchObject([
      ...each(1, false),
      ...each(2, false),
      ...each(1, true),
      ...each(16, true),
      ...each(64, true),
    ]);
    for (const figure of json.figures) expectPositive(figure, ['seconds', 'speedup']);
    expect(stdout).toMatch(/^64 simulated +5 /m);
  });

  test.each([
    ['--cases', '256', /--cases must be CANVASESxLENGTH, as in 4x256, not '256'/],
    ['--cases', '1x0', /--cases must be a positive number, not '0'/],
    ['--few-rows', '4', /--few-rows has no effect on cpu/],
  ])('rnd1_bench step refuses %s %s', async (option, value, message) => {
    const [, program = ''] = common;
    const { code, stderr } = await start(program, ['step', '--cases', '1x16', option, value]);
    expect(code).toBe(1);
    expect(stderr).toMatch(message);
  });

  test('more distinct tokens than there are cannot be had', async () => {
    const run = runScript('step.ts', ['--lengths', '262']);
    await expect(run).rejects.toThrow(/262 distinct tokens are wanted; the vocabulary has 26\d/);
  });

  test('bench/train.ts prints a table and writes the same figures', async () => {
    const { stdout, json } = await runScript('train.ts', [
      ...common.slice(0, 4),
      ...['--models', 'nano', '--runs', '1', '--python', 'no-python'],
    ]);
    expect(stdout).toContain('nano');
    expect(json).toMatchObject({
      bench: 'train',
      threads: 2,
      results: [{ model: 'nano', tokens: 4096, torch: null }],
    });
    expectPositive(json.results[0].rnd1, ['seconds', 'forward', 'backward', 'optimizer']);
  });
}
