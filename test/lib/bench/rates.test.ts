import { median, peaksFor, ratesOf } from '../../../lib/bench/rates';

const cpu = { copyBytesPerSecond: 40e9, matrixOperationsPerSecond: 1e12, integerOperationsPerSecond: 2e12 };
const gpu = { ...cpu, integerOperationsPerSecond: 0 };

test.each([
  ['bf16', cpu, 1e12],
  ['q8', cpu, 2e12],
  ['q4m', cpu, 2e12],
  ['q4', cpu, 2e12],
  ['fp8', cpu, 1e12],
  ['q8', gpu, 1e12],
])('%s weights are compared with the rate of their products', (weights, peaks, expected) => {
  expect(peaksFor(weights, peaks).matrixOperationsPerSecond).toBe(expected);
});

test('shares are of the peaks', () => {
  expect(ratesOf({ seconds: 0.5, operations: 1e11, bytes: 1e10 }, cpu)).toEqual({
    operationsPerSecond: 2e11,
    bytesPerSecond: 2e10,
    shareOfCopy: 0.5,
    shareOfMatrix: 0.2,
  });
});

test('the median is the middle', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([5])).toBe(5);
});
