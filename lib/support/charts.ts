import type { EChartsOption } from 'echarts';
import { RND1Error } from './errors';

export type { EChartsOption, SeriesOption } from 'echarts';

/** Okabe and Ito's, which most people can tell apart, the darker ones first. */
export const colours = [
  '#0072b2',
  '#d55e00',
  '#009e73',
  '#cc79a7',
  '#e69f00',
  '#56b4e9',
  '#6a51a3',
  '#444444',
];

/** Of all texts and axes. */
export const textColour = '#333333';

/** Of lines behind a chart. */
export const gridColour = '#e6e6e6';

/** The SVG of any chart, always the same for the same options. */
export function svgOf(
  option: EChartsOption,
  { width, height }: { readonly width: number; readonly height: number },
): string {
  const chart = library().init(null, null, { renderer: 'svg', ssr: true, width, height });
  try {
    chart.setOption(option);
    return renamed(chart.renderToSVGString());
  } finally {
    chart.dispose();
  }
}

/** Names count from 0: the library counts through all of its charts. */
function renamed(svg: string): string {
  const names = new Map<string, string>();
  return svg.replaceAll(/\bzr\d+-(?:cls-|[a-z]+)\d+/g, (name) => {
    if (!names.has(name)) names.set(name, `c${names.size}`);
    return names.get(name) as string;
  });
}

/** The optional package, loaded when it is needed. */
function library(): typeof import('echarts') {
  try {
    return require('echarts') as typeof import('echarts');
  } catch (error) {
    throw new RND1Error(
      'not_found',
      'plots need the package echarts, which is not installed: npm install echarts',
      { cause: error },
    );
  }
}
