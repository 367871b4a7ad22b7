import { colours, type EChartsOption, gridColour, svgOf, textColour } from '../../support/charts';
import type { Calibration } from './calibration';

const width = 760;
const axis = { axisLine: { show: true, lineStyle: { color: textColour } }, splitLine: { show: false } };
const rightAxis = {
  type: 'value' as const,
  name: '% right',
  min: 0,
  max: 100,
  splitLine: { lineStyle: { color: gridColour } },
};
/** A name below the axis. */
const below = { nameLocation: 'middle' as const, nameGap: 28 };
const common = {
  animation: false,
  backgroundColor: '#ffffff',
  textStyle: { fontFamily: 'system-ui, sans-serif', color: textColour },
} as const;
const colour = (i: number) => colours[i % colours.length] as string;
const legend = (names: readonly string[]) => ({
  top: 6,
  left: 'center',
  selectedMode: false as const,
  data: [...names],
});

/** A value in percent with its standard error; null where there is none. */
export interface Bar {
  readonly value: number;
  readonly error: number;
}

/** Bars of some tasks, one of each folder of results. */
export function barsSvg(
  tasks: readonly string[],
  series: readonly { readonly name: string; readonly bars: readonly (Bar | null)[] }[],
): string {
  const height = 76 + tasks.length * (14 + 14 * series.length);
  // From the top down.
  const place = (i: number) => tasks.length - 1 - i;
  const option: EChartsOption = {
    ...common,
    legend: legend(series.map(({ name }) => name)),
    grid: { left: 16, right: 84, top: 40, bottom: 12, containLabel: true },
    xAxis: { type: 'value', min: 0, max: 100, splitLine: { lineStyle: { color: gridColour } } },
    yAxis: { type: 'category', data: [...tasks].reverse(), ...axis, axisTick: { show: false } },
    series: series.map(({ name, bars }, i) => ({
      type: 'bar',
      name,
      color: colour(i),
      silent: true,
      data: tasks.map((_, task) => bars[place(task)]?.value ?? '-'),
      label: {
        show: true,
        position: 'right',
        fontSize: 10,
        formatter: ({ dataIndex }) => {
          const bar = bars[place(dataIndex)];
          return bar ? `${bar.value.toFixed(1)} ± ${bar.error.toFixed(1)}` : '';
        },
      },
    })),
  };
  return svgOf(option, { width, height });
}

/** Points of tasks: percent right by tokens that a forward pass writes. */
export function speedSvg(
  series: readonly {
    readonly name: string;
    readonly points: readonly { readonly task: string; readonly x: number; readonly y: number }[];
  }[],
): string {
  const option: EChartsOption = {
    ...common,
    legend: legend(series.map(({ name }) => name)),
    grid: { left: 24, right: 150, top: 56, bottom: 44, containLabel: true },
    xAxis: {
      type: 'value',
      name: 'tokens per forward pass',
      ...below,
      min: 0,
      ...axis,
    },
    yAxis: rightAxis,
    series: series.map(({ name, points }, i) => ({
      type: 'scatter',
      name,
      color: colour(i),
      silent: true,
      data: points.map(({ x, y }) => [x, y]),
      label: {
        show: true,
        position: 'right',
        fontSize: 10,
        color: textColour,
        formatter: ({ dataIndex }) => points[dataIndex]?.task ?? '',
      },
      labelLayout: { hideOverlap: true },
    })),
  };
  return svgOf(option, { width, height: 420 });
}

/** How often choices of a confidence are right; the diagonal is perfect. */
export function calibrationSvg(
  series: readonly { readonly name: string; readonly calibration: Calibration }[],
): string {
  const option: EChartsOption = {
    ...common,
    legend: legend(series.map(({ name }) => name)),
    grid: { left: 24, right: 40, top: 56, bottom: 44, containLabel: true },
    xAxis: {
      type: 'value',
      name: 'probability of the choice, %',
      ...below,
      min: 0,
      max: 100,
      ...axis,
    },
    yAxis: rightAxis,
    series: [
      {
        type: 'line',
        data: [
          [0, 0],
          [100, 100],
        ],
        silent: true,
        symbol: 'none',
        color: '#999999',
        lineStyle: { type: 'dashed', width: 1 },
      },
      ...series.map(({ name, calibration }, i) => ({
        type: 'line' as const,
        name,
        color: colour(i),
        silent: true,
        data: calibration.bins.map(({ confidence, accuracy }) => [100 * confidence, 100 * accuracy]),
        symbol: 'circle',
        // Area by the number of documents.
        symbolSize: (_: unknown, { dataIndex }: { dataIndex: number }) =>
          4 + 20 * Math.sqrt((calibration.bins[dataIndex]?.documents ?? 0) / calibration.documents),
      })),
    ],
  };
  return svgOf(option, { width: 480, height: 420 });
}
