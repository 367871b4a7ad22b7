import { drawMask, maskTimes, permute, randomLength } from '../../lib/training/masking';
import { readGolden } from '../support/goldens';

const golden = readGolden<{
  readonly seed: string;
  readonly epsilon: number;
  readonly independent: readonly {
    readonly canvas: number;
    readonly length: number;
    readonly t: number;
    readonly masked: readonly number[];
  }[];
  readonly stratified: readonly {
    readonly first: number;
    readonly size: number;
    readonly canvas: number;
    readonly t: number;
  }[];
  readonly order: readonly {
    readonly N: number;
    readonly epoch: number;
    readonly permutation: readonly number[];
  }[];
  readonly random_length: readonly {
    readonly canvas: number;
    readonly of: number;
    readonly length: number;
  }[];
}>('training/masking.json');
const seed = BigInt(golden.seed);

test.each(golden.independent)(
  'canvas $canvas has the golden mask rate and mask',
  ({ canvas, length, t, masked }) => {
    expect(maskTimes(seed, canvas, 1, 'independent', golden.epsilon)[0]).toBe(t);
    expect(Array.from(drawMask(seed, canvas, length, t, 1))).toEqual(masked);
  },
);

test.each(golden.stratified)(
  'canvas $canvas of $size from $first has the golden stratum',
  ({ first, size, canvas, t }) => {
    expect(maskTimes(seed, first, size, 'stratified', golden.epsilon)[canvas - first]).toBe(t);
  },
);

test('a mask may begin anywhere, and is the same from there on', () => {
  const whole = Array.from(drawMask(seed, 5, 40, 0.5, 0));
  for (const from of [1, 2, 3, 4, 7, 39, 40])
    expect(Array.from(drawMask(seed, 5, 40, 0.5, from))).toEqual(
      whole.filter((position) => position >= from),
    );
  for (const end of [0, 1, 5, 39])
    expect(Array.from(drawMask(seed, 5, end, 0.5, 0))).toEqual(whole.filter((position) => position < end));
});

test('canvases are cut to the golden lengths', () => {
  const found = Array.from({ length: 400 }, (_, canvas) => ({
    canvas,
    of: 64,
    length: randomLength(seed, canvas, 64, 0.01),
  }));
  expect(found.filter(({ length }) => length < 64)).toEqual(golden.random_length);
  expect(randomLength(seed, 22, 64, 0)).toBe(64);
});

test.each(golden.order)('the order of $N in epoch $epoch is the golden one', ({ N, epoch, permutation }) => {
  expect(Array.from({ length: N }, (_, i) => permute(seed, epoch, N, i))).toEqual(permutation);
});

test.each([1, 2, 3, 16, 17, 1000, 4097])('every one of %d comes once', (size) => {
  const order = Array.from({ length: size }, (_, i) => permute(7n, 3, size, i));
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: size }, (_, i) => i));
});
