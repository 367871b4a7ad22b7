import { RND1Error } from '../../support/errors';
import { printableName } from '../../support/printable';
import {
  booleanOption,
  integerOption,
  numberOption,
  optionsObject,
  quote,
  stringOption,
  wordOption,
} from '../../support/validate';
import { type ChartRun, chartOf } from './chart';
import { type PlotValue, plotValueNames, plotValues } from './plot-values';
import { type MetricsPoint, readRuns } from './read-runs';
import { smoothed } from './smooth';

/** Options of `plot`. */
export interface PlotOptions {
  /** What to draw. @default 'masked_ce' */
  readonly value?: PlotValue;
  /** What the horizontal axis counts. @default 'step' */
  readonly x?: 'step' | 'tokens';
  /** Factor of the moving average, from 0 (none) to below 1. @default 0.9 for what varies from step to step, else 0 */
  readonly smooth?: number;
  /** Logarithmic vertical axis: values that are not above 0 are left out. @default false */
  readonly logScale?: boolean;
  /** Pixels. @default 900 */
  readonly width?: number;
  /** Pixels. @default 520 */
  readonly height?: number;
  /** Above the plot. @default none */
  readonly title?: string;
}

const optionNames = {
  value: true,
  x: true,
  smooth: true,
  logScale: true,
  width: true,
  height: true,
  title: true,
} as const;

/**
 * Draws curves of runs: for each, a thin line of all steps, a thick one of their moving average, and points of the
 * evaluations. Needs the package echarts.
 *
 * @param runs folders of runs, or their metrics.jsonl
 * @returns SVG, the same text for the same metrics and options
 * @throws RND1Error `io` if there are no such files; `invalid_data` if they are not of runs, or without such values;
 *   `not_found` without echarts
 */
export async function plot(runs: readonly string[], options?: PlotOptions): Promise<string> {
  if (!Array.isArray(runs) || runs.length === 0)
    throw new TypeError(`runs must be a list of folders, not ${quote(runs)}`);
  for (const [i, run] of runs.entries()) stringOption(`runs[${i}]`, run);
  const given = optionsObject('options', options, optionNames);
  const value = wordOption('value', given.value ?? 'masked_ce', plotValueNames);
  const x = wordOption('x', given.x ?? 'step', ['step', 'tokens'] as const);
  const { step, evaluation, label, noisy } = plotValues[value];
  const smooth = numberOption('smooth', given.smooth ?? (noisy ? 0.9 : 0), 0, 0.9999);
  const logScale = booleanOption('logScale', given.logScale, false);
  const width = integerOption('width', given.width ?? 900, 200, 10_000);
  const height = integerOption('height', given.height ?? 520, 150, 10_000);
  const title = printableName(stringOption('title', given.title ?? ''));
  const fields = [step, evaluation].filter((field) => field !== null);
  const drawn = (await readRuns(runs, fields)).map(({ name, points }): ChartRun => {
    const of = (field: string | null) =>
      (field === null ? [] : (points[field] ?? []))
        .filter((point) => Number.isFinite(point[x]) && (!logScale || point.value > 0))
        .map((point: MetricsPoint) => [point[x], point.value] as const);
    const steps = of(step);
    const average = smoothed(
      steps.map(([, each]) => each),
      smooth,
    );
    return {
      name: printableName(name),
      raw: smooth === 0 ? [] : steps,
      line: steps.map(([at], i) => [at, average[i] as number] as const),
      points: of(evaluation),
    };
  });
  if (drawn.every(({ line, points }) => line.length + points.length === 0))
    throw new RND1Error('invalid_data', `there is no ${value} to draw in ${runs.join(', ')}`);
  return chartOf(drawn, { x, label, smooth, logScale, width, height, title });
}
