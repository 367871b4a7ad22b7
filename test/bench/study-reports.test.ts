import {
  type BatchSizeResult,
  batchSizePanels,
  batchSizeTables,
  criticalBatch,
  noiseScale,
} from '../../bench/studies/support/batch-size-report';
import {
  forgettingPanels,
  forgettingTables,
  lostAtLoss,
  type Point,
  type SeedResult,
} from '../../bench/studies/support/forgetting-report';

const point = (step: number, loss: number, lost: number): Point => ({
  step,
  loss,
  maskedCrossEntropy: loss,
  skills: 0.5,
  kept: 0.75,
  keptAll: 0.25,
  lost,
  lostAll: 0.125,
  lostCausal: 1,
});

/** Two arms: the second ends at a loss that the first has passed. */
const seedResult = (seed: number, lost: number): SeedResult => ({
  seed,
  pretrained: { kept: 1, lost: 1, skills: 1 },
  arms: [
    {
      seed,
      arm: '1e-3 : 1e-4',
      points: [point(100, 2, 0.1), point(200, 1, lost)],
      again: [
        { step: 0, lost: 0.25, fresh: 0.125 },
        { step: 20, lost: 0.5, fresh: 0.25 },
      ],
    },
    {
      seed,
      arm: '3e-4 : 3e-4',
      points: [point(100, 3, 0.1), point(200, 1.5, 0.2)],
      again: [{ step: 0, lost: 0.5, fresh: 0.125 }],
    },
  ],
});

test('between checkpoints, recall at a loss follows a line', () => {
  const points = [point(1, 3, 0.1), point(2, 2, 0.3), point(3, 1, 0.2)];
  expect(lostAtLoss(points, 2.5)).toBeCloseTo(0.2);
  expect(lostAtLoss(points, 1.25)).toBeCloseTo(0.225);
  expect(lostAtLoss(points, 4)).toBe(0.1);
  expect(lostAtLoss(points, 0.5)).toBeNaN();
});

test('arms are compared at equal loss, in pairs of one seed', () => {
  const tables = forgettingTables([seedResult(1, 0.5), seedResult(2, 0.7)]);
  expect(tables).toContain('| 1e-3 : 1e-4 | 1.000 | 50.0 | 75.0 | 25.0 | 60.0 | 12.5 | 100.0 |');
  // At 1.5, halfway: 0.3 and 0.4, beside 0.2 of the other arm.
  expect(tables).toContain('| 3e-4 : 3e-4 | 1.500 | 20.0 | 35.0 | 15.0 ± 5.0 |');
  expect(tables).toContain('| 1e-3 : 1e-4 | 25.0 / 12.5 |');
});

test('curves are means over seeds', () => {
  const [byLoss] = forgettingPanels([seedResult(1, 0.5), seedResult(2, 0.7)]);
  const line = byLoss?.lines.find(({ name }) => name === '1e-3 : 1e-4');
  expect(line?.points[1]).toEqual({ x: 1, y: expect.closeTo(60), error: expect.closeTo(10) });
});

const noise = (signal: number, total: number) => ({
  all: { signal, noise: total },
  mlp: { signal, noise: 2 * total },
  preconditioned: { signal, noise: 4 * total },
});

const result: BatchSizeResult = {
  noise: [
    { run: 'ar', step: 8, objective: 'ar', repeats: [noise(1, 10), noise(3, 30)], scored: 31 },
    { run: 'mdlm', step: 4, objective: 'mean', repeats: [noise(1, 100), noise(3, 20)], scored: 16 },
  ],
  branches: [
    { seed: 1, run: 'ar', batch: 16, losses: [1, 1.01] },
    { seed: 1, run: 'ar', batch: 64, losses: [1.01, 1.01] },
    { seed: 1, run: 'ar', batch: 256, losses: [1.5, 1.5] },
  ],
};

test('noise scales are quotients of means, not means of quotients', () => {
  expect(noiseScale([noise(1, 100), noise(3, 20)], 'all')).toBe(30);
  const tables = batchSizeTables(result);
  expect(tables).toContain('| mdlm | 4 | mean | 30 | 6.67 to 100 | 480 | 120 |');
  expect(tables).toContain('| ar | 20 |');
});

test('the critical batch is the largest that ends within 0.01 nats of the best', () => {
  expect(criticalBatch(result.branches)).toBe(64);
  expect(batchSizeTables(result)).toContain('| ar | 1 | 1.0050 | 1.0100 | 1.5000 | 64 |');
});

test('noise without a measurable signal is not drawn', () => {
  const none = { ...result, noise: [{ ...result.noise[0], repeats: [noise(-1, 10)] }] } as BatchSizeResult;
  expect(batchSizePanels(none)[0]?.lines[0]?.points).toEqual([]);
  expect(batchSizeTables(none)).toContain('| ar | 8 | ar | – |');
});
