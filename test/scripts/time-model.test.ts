import type { Kernel } from '../../scripts/gpu-code/kernels';
import { gpus, type Launch, microseconds, workOf } from '../../scripts/gpu-code/time-model';

const [h100, h200] = gpus as [(typeof gpus)[0], (typeof gpus)[0]];
const batch = { canvases: 1, length: 256 };

const kernelOf = (name: string, registers: number, instructions?: number): Kernel => ({
  name,
  registers,
  spilled: 0,
  stack: 0,
  loop: instructions === undefined ? null : { instructions, matrixProducts: 32, copiesToShared: 10 },
});

const gateUp: Launch = {
  name: 'experts (gate, up)',
  kernel: kernelOf('expertMmaKernel<2,1,32,bf16,bf16>', 96, 117),
  grid: [12, 192, 1],
  cluster: [1, 1],
  threads: 128,
  shared: 60 << 10,
};

describe('the time model of GPUs', () => {
  test('the experts of a canvas: a tile per expert, every weight once', () => {
    const work = workOf(gateUp, batch, h100);
    expect(work).toMatchObject({ blocks: 2304, live: 12 * 128, blocksPerMultiprocessor: 3, steps: 32 });
    expect(work.weights).toBe(2 * 128 * 768 * 2048 * 2);
    // 128 weight rows and 32 rows of x per tile.
    expect(work.traffic).toBe(12 * 128 * 160 * 2048 * 2);
    expect(work.waves).toBeCloseTo(1536 / 396);
  });

  test('they take as long as their weights take from memory, and a start', () => {
    for (const gpu of [h100, h200])
      expect(microseconds(gateUp, batch, gpu)).toBeCloseTo((805.3e6 / gpu.memory) * 1e6 + 1.9, 0);
  });

  test('more instructions are the limit at some point', () => {
    const slow = { ...gateUp, kernel: kernelOf('expertMmaKernel<2,1,32,bf16,bf16>', 96, 1500) };
    expect(microseconds(slow, batch, h200)).toBeGreaterThan(1.5 * microseconds(gateUp, batch, h200));
  });

  test('registers and threads limit the blocks at once', () => {
    const many = { ...gateUp, shared: 0 };
    expect(workOf(many, batch, h100).blocksPerMultiprocessor).toBe(5);
    expect(workOf({ ...many, threads: 256 }, batch, h100).blocksPerMultiprocessor).toBe(2);
  });

  test('a small kernel takes its latency', () => {
    const norm: Launch = {
      name: 'addRmsNorm',
      kernel: kernelOf('addRmsNormKernel<bf16,4>', 32),
      grid: [256, 1, 1],
      cluster: [1, 1],
      threads: 256,
      shared: 32,
    };
    expect(workOf(norm, batch, h100)).toMatchObject({ weights: 0, steps: 0, live: 256 });
    expect(microseconds(norm, batch, h100)).toBeCloseTo(4.6, 1);
  });
});
