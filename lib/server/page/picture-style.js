/**
 * Colours of the page (page.css) for a picture, which must include them, and a background, so that it is readable on
 * any page.
 *
 * @typedef {Record<string, string>} Palette
 */

/** @type {Palette} */
export const light = {
  paper: '#f6f2e9',
  sheet: '#fdfbf6',
  ink: '#1e1c17',
  soft: '#645e52',
  rule: '#d9d2c3',
  mask: '#ddd7ca',
  'mask-faint': '#efeadf',
  'sure-5': '#e0edea',
  'sure-4': '#e6ebcf',
  'sure-3': '#f7e4ae',
  'sure-2': '#f8c98c',
  'sure-1': '#f0a077',
  'line-4': '#93a15a',
  'line-3': '#c39a2b',
  'line-2': '#c87420',
  'line-1': '#a83c14',
};

/** @type {Palette} */
export const dark = {
  paper: '#15161a',
  sheet: '#1c1d22',
  ink: '#ece6d9',
  soft: '#a59f91',
  rule: '#34353c',
  mask: '#3a3b42',
  'mask-faint': '#27282e',
  'sure-5': '#1d3637',
  'sure-4': '#303a22',
  'sure-3': '#4c3f12',
  'sure-2': '#663d12',
  'sure-1': '#7f3416',
  'line-4': '#8b9c50',
  'line-3': '#c9a13a',
  'line-2': '#e28f3d',
  'line-1': '#ff8a5c',
};

const serif = `"Iowan Old Style","Palatino Linotype","URW Palladio L",P052,Palatino,Georgia,serif`;
const mono = `ui-monospace,"Cascadia Code","JetBrains Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace`;

const variables = (/** @type {Palette} */ palette) =>
  Object.entries(palette)
    .map(([name, colour]) => `--${name}:${colour}`)
    .join(';');

/** The part of the style sheet that does not depend on the run. */
export const baseStyle = [
  `svg{${variables(light)}}`,
  `@media(prefers-color-scheme:dark){svg{${variables(dark)}}}`,
  `text{font:15px ${serif};fill:var(--ink);white-space:pre}`,
  '.paper{fill:var(--paper)}.sheet{fill:var(--sheet)}.soft{fill:var(--soft)}.rule{stroke:var(--rule)}',
  '.frame{fill:none;stroke:var(--ink);stroke-width:2}.heavy{stroke:var(--ink);stroke-width:2}',
  '.title{font-size:19px;font-style:italic}.count{font-size:30px}.end{text-anchor:end}',
  `.digit{font-size:23px;text-anchor:middle}.code{font:17px ${mono}}.small{font-size:13px}`,
  '.mask{fill:var(--mask)}.faint{fill:var(--mask-faint)}.fresh{fill:var(--ink)}.on{fill:var(--paper)}',
  ...[1, 2, 3, 4, 5].map((level) => `.sure${level}{fill:var(--sure-${level})}`),
  ...[1, 2, 3, 4].map((level) => `.line${level}{fill:var(--line-${level})}`),
  // The less sure a guess is, the fainter it is.
  ...[0.3, 0.4, 0.5, 0.65, 0.8].map(
    (opacity, i) => `.guess${i + 1}{fill:var(--soft);fill-opacity:${opacity}}`,
  ),
  '.gone{opacity:0}',
].join('\n');
