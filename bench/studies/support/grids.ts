import type { Random } from '../../../examples/support/random';

/** How the columns of a row are rounded, group by group, to values `scale · integer + minimum`. */
export interface Grid {
  readonly bits: number;
  /** Columns that share a scale. */
  readonly group: number;
  /** Whether groups have minimums of their own; otherwise the middle integer is 0. */
  readonly minimums: boolean;
  /** How often scale and minimum are fitted to the integers of a try, by least squares. @default 1 */
  readonly fits?: number;
}

/** Scales and minimums are f16. */
export const bitsPerWeight = ({ bits, group, minimums }: Grid): number => bits + (minimums ? 32 : 16) / group;

/** Ranges that are tried for 4 to 6 bits: the whole one, and narrower ones by this share. */
const [tries, narrower] = [9, 0.04];

interface Fit {
  readonly scale: number;
  readonly minimum: number;
}

/**
 * Rounds a matrix to the grid, its columns grouped in a random order: errors that differ, of the same kind. `importance`:
 * of the error of each column; null: alike.
 */
export function rounded(
  values: Float32Array,
  columns: number,
  grid: Grid,
  importance: Float64Array | null,
  random: Random,
): Float32Array {
  const order = random.shuffle(Array.from({ length: columns }, (_, i) => i));
  const weights = Float64Array.from(order, (column) => importance?.[column] ?? 1);
  const out = new Float32Array(values.length);
  for (let row = 0; row < values.length; row += columns) {
    const shuffled = Float64Array.from(order, (column) => values[row + column] as number);
    for (let first = 0; first < columns; first += grid.group) {
      const end = Math.min(first + grid.group, columns);
      const group = shuffled.subarray(first, end);
      const integers = new Float64Array(group.length);
      const fit = bestFit(group, weights.subarray(first, end), grid, integers);
      store(group, fit, grid, integers);
      for (let i = first; i < end; i++)
        out[row + (order[i] as number)] = fit.scale * (integers[i - first] as number) + fit.minimum;
    }
  }
  return out;
}

/** The fit with the smallest error; 8 bits without minimums are rnd1's q8, which tries nothing. */
function bestFit(group: Float64Array, weights: Float64Array, grid: Grid, integers: Float64Array): Fit {
  const [min, max] = [Math.min(...group), Math.max(...group)];
  const [lowest, highest] = limits(grid);
  const extreme = -min > max ? min : max;
  if (extreme === 0) return { scale: 0, minimum: 0 };
  if (grid.bits === 8) return { scale: toF16(Math.abs(extreme) / highest), minimum: 0 };
  let best: Fit = { scale: toF16((max - min) / (highest - lowest)), minimum: toF16(min) };
  let smallest = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < tries; attempt++) {
    let fit: Fit;
    if (grid.minimums) {
      const scale = ((1 - narrower * attempt) * (max - min)) / highest;
      fit = { scale, minimum: (min + max - scale * highest) / 2 };
    } else fit = { scale: extreme / (lowest * (1 + narrower * (attempt - 2))), minimum: 0 };
    for (let i = 0; i < (grid.fits ?? 1); i++) {
      store(group, fit, grid, integers);
      fit = leastSquares(group, weights, integers, grid.minimums) ?? fit;
    }
    fit = { scale: toF16(fit.scale), minimum: toF16(fit.minimum) };
    if (fit.scale === 0) continue;
    store(group, fit, grid, integers);
    const error = errorOf(group, weights, fit, integers);
    if (error < smallest) [best, smallest] = [fit, error];
  }
  return best;
}

/** The smallest and the largest integer. */
function limits({ bits, minimums }: Grid): [number, number] {
  if (minimums) return [0, 2 ** bits - 1];
  return bits === 8 ? [-127, 127] : [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1];
}

function store(group: Float64Array, { scale, minimum }: Fit, grid: Grid, integers: Float64Array): void {
  const [lowest, highest] = limits(grid);
  for (const [i, value] of group.entries()) {
    const nearest = scale === 0 ? 0 : Math.round((value - minimum) / scale);
    integers[i] = Math.min(Math.max(nearest, lowest), highest);
  }
}

function leastSquares(
  group: Float64Array,
  weights: Float64Array,
  integers: Float64Array,
  minimums: boolean,
): Fit | null {
  let [w, wq, wqq, wx, wqx] = [0, 0, 0, 0, 0];
  for (const [i, x] of group.entries()) {
    const [weight, q] = [weights[i] as number, integers[i] as number];
    w += weight;
    wq += weight * q;
    wqq += weight * q * q;
    wx += weight * x;
    wqx += weight * q * x;
  }
  if (!minimums) return wqq > 0 ? { scale: wqx / wqq, minimum: 0 } : null;
  const scale = (w * wqx - wq * wx) / (w * wqq - wq * wq);
  return scale > 0 ? { scale, minimum: (wx - scale * wq) / w } : null;
}

function errorOf(
  group: Float64Array,
  weights: Float64Array,
  { scale, minimum }: Fit,
  integers: Float64Array,
): number {
  return group.reduce(
    (sum, x, i) => sum + (weights[i] as number) * (scale * (integers[i] as number) + minimum - x) ** 2,
    0,
  );
}

/** The nearest f16, ties to even, of a number in its range. */
function toF16(value: number): number {
  if (value === 0) return 0;
  const unit = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(value))), -14) - 10);
  const steps = value / unit;
  const below = Math.floor(steps);
  const rest = steps - below;
  return (rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below) * unit;
}
