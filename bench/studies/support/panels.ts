import type { EChartsOption } from 'echarts';
import { colours, gridColour, svgOf, textColour } from '../../../lib/support/charts';

/** A line of points, each with its standard error. */
export interface PanelLine {
  readonly name: string;
  readonly points: readonly { readonly x: number; readonly y: number; readonly error: number }[];
}

export interface Axis {
  readonly name: string;
  readonly log?: boolean;
  /** Default: as far as the points go. */
  readonly range?: readonly [from: number, to: number];
}

/** A plot among others. */
export interface Panel {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly lines: readonly PanelLine[];
}

/** Of 0 to 100 percent. */
export const percentAxis = (name: string): Axis => ({ name, range: [0, 100] });

const panelWidth = 430;
const panelHeight = 300;

/** The SVG of plots in columns, with one legend; a bar at each point is one standard error up and down. */
export function panelsSvg(panels: readonly Panel[], columns = 2): string {
  const rows = Math.ceil(panels.length / columns);
  const [width, height] = [columns * panelWidth, rows * panelHeight + 48];
  const names = [...new Set(panels.flatMap(({ lines }) => lines.map(({ name }) => name)))];
  const place = (i: number) => ({
    left: (i % columns) * panelWidth + 56,
    top: Math.floor(i / columns) * panelHeight + 84,
  });
  const option: EChartsOption = {
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: 'system-ui, sans-serif', color: textColour },
    legend: {
      top: 10,
      left: 'center',
      icon: 'roundRect',
      itemWidth: 16,
      itemHeight: 4,
      itemGap: 18,
      selectedMode: false,
      data: names,
    },
    title: panels.map(({ title, y }, i) => ({
      text: `${title}: ${y.name}`,
      left: place(i).left,
      top: place(i).top - 34,
      textStyle: { fontSize: 14, color: textColour },
    })),
    grid: panels.map((_, i) => ({ ...place(i), width: panelWidth - 84, height: panelHeight - 92 })),
    xAxis: panels.map(({ x }, i) => ({
      ...scaleOf(x),
      gridIndex: i,
      name: x.name,
      nameLocation: 'middle' as const,
      nameGap: 24,
      splitLine: { show: false },
      axisLine: { show: true, lineStyle: { color: textColour } },
    })),
    yAxis: panels.map(({ y }, i) => ({
      ...scaleOf(y),
      gridIndex: i,
      splitLine: { lineStyle: { color: gridColour } },
    })),
    series: panels.flatMap(({ lines }, panel) =>
      lines.flatMap(({ name, points }) => {
        const color = colours[names.indexOf(name) % colours.length] as string;
        const common = { xAxisIndex: panel, yAxisIndex: panel, color, silent: true };
        return [
          {
            ...common,
            type: 'line' as const,
            name,
            data: points.map((point) => [point.x, point.y]),
            symbol: 'circle',
            symbolSize: 5,
            lineStyle: { width: 2 },
          },
          ...points.map((point) => ({
            ...common,
            type: 'line' as const,
            name,
            data: [
              [point.x, point.y - point.error],
              [point.x, point.y + point.error],
            ],
            symbol: 'none',
            lineStyle: { width: 1, opacity: 0.6 },
          })),
        ];
      }),
    ),
  };
  return svgOf(option, { width, height });
}

function scaleOf({ log = false, range }: Axis) {
  const [min, max] = range ?? [];
  return {
    ...(log ? { type: 'log' as const, logBase: 2 } : { type: 'value' as const, scale: true }),
    min,
    max,
  };
}
