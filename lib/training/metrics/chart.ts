import {
  colours,
  type EChartsOption,
  gridColour,
  type SeriesOption,
  svgOf,
  textColour,
} from '../../support/charts';

type Points = readonly (readonly [number, number])[];

/** The curves of a run. */
export interface ChartRun {
  readonly name: string;
  /** Behind the line: what it is the average of. */
  readonly raw: Points;
  readonly line: Points;
  readonly points: Points;
}

/** How runs are drawn. */
export interface ChartStyle {
  readonly x: 'step' | 'tokens';
  readonly label: string;
  readonly smooth: number;
  readonly logScale: boolean;
  readonly width: number;
  readonly height: number;
  readonly title: string;
}

/** The SVG of a chart. */
export function chartOf(runs: readonly ChartRun[], style: ChartStyle): string {
  return svgOf(optionOf(runs, style), style);
}

function optionOf(runs: readonly ChartRun[], style: ChartStyle): EChartsOption {
  const { x, label, logScale, title } = style;
  const note = noteOf(runs, style.smooth);
  const top = title === '' ? 12 : 44;
  return {
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: 'system-ui, sans-serif', color: textColour },
    title: [
      ...(title === '' ? [] : [{ text: title, left: 'center', top: 10, textStyle: { fontSize: 16 } }]),
      {
        text: note,
        // By its end: the widths of texts are guesses without their font.
        left: style.width - 28,
        textAlign: 'right',
        bottom: 6,
        textStyle: { fontSize: 11, fontWeight: 'normal', color: '#777777' },
      },
    ],
    legend: {
      type: 'plain',
      top,
      left: 'center',
      icon: 'roundRect',
      selectedMode: false,
      itemHeight: 4,
      data: [...new Set(runs.map(({ name }) => name))],
    },
    grid: { left: 24, right: 32, top: top + 52, bottom: 56, containLabel: true },
    xAxis: {
      type: 'value',
      name: x === 'step' ? 'steps' : 'tokens',
      nameLocation: 'middle',
      nameGap: 28,
      min: ({ min, max }) => (min < max / 10 ? 0 : min),
      max: 'dataMax',
      axisLine: { show: true, lineStyle: { color: textColour } },
      axisLabel: { formatter: x === 'step' ? separated : compact, showMaxLabel: true, hideOverlap: true },
      splitLine: { show: false },
    },
    yAxis: {
      type: logScale ? 'log' : 'value',
      scale: true,
      name: label,
      nameLocation: 'end',
      nameGap: 12,
      nameTextStyle: { align: 'left', padding: [0, 0, 0, -24] },
      ...(logScale ? { logBase: decades(runs) > 2 ? 10 : 2 } : {}),
      axisLabel: { formatter: short },
      splitLine: { lineStyle: { color: gridColour } },
    },
    series: runs.flatMap((run, i) => seriesOf(run, colours[i % colours.length] as string)),
  };
}

function seriesOf({ name, raw, line, points }: ChartRun, color: string): SeriesOption[] {
  const curve = (data: Points, width: number, opacity: number, z: number): SeriesOption => ({
    type: 'line',
    name,
    data: data.map((point) => [...point]),
    color,
    z,
    silent: true,
    emphasis: { disabled: true },
    showSymbol: data.length === 1,
    lineStyle: { width, opacity, join: 'round' },
    // Long runs have more points than the plot has pixels.
    sampling: width === 1 ? 'minmax' : 'lttb',
  });
  const series: SeriesOption[] = [];
  if (raw.length > 0) series.push(curve(raw, 1, 0.25, 2));
  if (line.length > 0) series.push(curve(line, 2, 1, 3));
  if (points.length > 0)
    series.push({
      type: 'scatter',
      name,
      data: points.map((point) => [...point]),
      color,
      z: 4,
      silent: true,
      emphasis: { disabled: true },
      symbolSize: 8,
      itemStyle: { borderColor: '#ffffff', borderWidth: 1.5 },
    });
  return series;
}

function noteOf(runs: readonly ChartRun[], smooth: number): string {
  const some = (part: 'raw' | 'line' | 'points') => runs.some((run) => run[part].length > 0);
  return [
    ...(some('raw') ? [`thin: each step, thick: moving average (${smooth})`] : []),
    ...(some('points') && some('line') ? ['points: evaluation'] : []),
  ].join(', ');
}

/** Powers of ten that the values span. */
function decades(runs: readonly ChartRun[]): number {
  let [min, max] = [Infinity, 0];
  for (const { raw, line, points } of runs)
    for (const [, value] of [...raw, ...line, ...points]) {
      min = Math.min(min, value);
      max = Math.max(max, value);
    }
  return Math.log10(max / min);
}

const separated = (value: number) => value.toLocaleString('en-US');
const compact = (value: number) =>
  value.toLocaleString('en-US', { notation: 'compact', maximumSignificantDigits: 3 });

/** `0.25`, `1.2M`, `5e-5` */
function short(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && size < 0.001) return Number(value.toPrecision(3)).toExponential();
  return size >= 10_000 ? compact(value) : String(Number(value.toPrecision(4)));
}
