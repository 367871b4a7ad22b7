import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { drawPicture } from '../../lib/server/page/picture.js';
import { dark, light } from '../../lib/server/page/picture-style.js';
import { Recording } from '../../lib/server/page/recording.js';
import { isSolved } from '../../lib/server/page/sudoku.js';
import { recordRuns } from '../../scripts/picture';
import { frame, prediction, record, start } from '../lib/server/page/run';

const root = join(__dirname, '../..');
const kept = readFileSync(join(root, 'docs/images/unmasking.svg'), 'utf8');

/** Names of the elements of a document, in order; fails where they are not closed as they were opened. */
function elementsOf(svg: string): string[] {
  const names: string[] = [];
  const open: string[] = [];
  const text = svg.replaceAll(/<(\/?)([a-z]+)((?: [\w:-]+="[^"<]*")*)(\/?)>/gi, (_, end, name, __, empty) => {
    if (end === '/') expect(open.pop()).toBe(name);
    else names.push(name);
    if (end === '' && empty === '') open.push(name);
    return '';
  });
  expect(open).toEqual([]);
  expect(text).not.toMatch(/<|&(?!(?:amp|lt|gt);)/);
  return names;
}

describe('docs/images/unmasking.svg', () => {
  let runs: Awaited<ReturnType<typeof recordRuns>>;
  beforeAll(async () => {
    runs = await recordRuns();
  });

  test('is what scripts/picture.ts draws', () => expect(kept === drawPicture(runs)).toBe(true));

  test('shows right answers, in fewer passes and in one for each token', () => {
    for (const { recording, puzzle } of runs) {
      const written = recording.cellsAt(Number.POSITIVE_INFINITY).filter(({ state }) => state !== 'fixed');
      const digits = puzzle.cells.map((digit) => digit || Number(written.shift()?.text));
      expect(isSolved(puzzle.layout, digits)).toBe(true);
      expect(recording.end?.usage.steps).toBe(recording.frames.length);
    }
    expect(runs[0]?.recording.frames.length).toBeLessThan(11);
    expect(new Set(runs[1]?.recording.committed)).toEqual(new Set([1]));
  });

  test('is small, needs nothing beside itself, and stands still for those who ask for it', () => {
    expect(kept.length).toBeLessThan(150_000);
    expect(elementsOf(kept)).toContain('title');
    expect(kept).not.toMatch(/url\(|href|<script|<image|@import/);
    expect(kept).toContain('@media(prefers-reduced-motion:reduce){*{animation:none!important}}');
  });
});

test('the colours of a picture are those of the page', () => {
  const css = readFileSync(join(root, 'lib/server/page/page.css'), 'utf8');
  const [inLight = '', inDark = ''] = css.split('@media (prefers-color-scheme: dark)');
  for (const [palette, sheet] of [
    [light, inLight],
    [dark, inDark],
  ] as const) {
    for (const [name, colour] of Object.entries(palette)) expect(sheet).toContain(`--${name}: ${colour};`);
  }
});

test('a text is drawn up to its end, whatever it is made of', () => {
  const recording = new Recording(start(['<|im_start|>', 'Q', '\n', null, null, null, null]));
  const written = ['<b>&"', '\u0007', '<|im_end|>', 'hidden'].map((text, i) => prediction(3 + i, text, 0.95));
  recording.add(frame(1, written.slice(2), [prediction(3, 'no\ud800', 0.2), prediction(4, '東', 0.5)]));
  recording.add(frame(2, written.slice(0, 2), []));
  const svg = drawPicture([{ title: 'A < B', recording, puzzle: null }]);
  elementsOf(svg);
  expect(svg).toContain('>&lt;b&gt;&amp;"</text>');
  expect(svg).toContain('>no◌</text>');
  expect(svg).not.toContain('hidden');
  expect(svg).not.toContain('im_start');
  expect(svg).toContain('2 forward passes');
});

test('parts are there in their frames alone: guesses until the token is committed, the last frame for good', () => {
  const svg = drawPicture([{ title: 'run', recording: record(), puzzle: null }]);
  // `4` is guessed to be `9` in the first frame, and committed by the second one.
  expect(svg).toMatch(/class="code guess2 gone t1-2"[^>]*>9</);
  expect(svg).toMatch(/class="code t2"[^>]*>4</);
  expect(svg).toMatch(/class="code on gone t2-3"[^>]*>4</);
  const rule = (name: string) => new RegExp(`^\\.${name}\\{.*$`, 'm').exec(svg)?.[0] ?? '';
  // 1 s before the first step, 0.6 s a step, 3.5 s of rest: 5.7 s in all.
  expect(rule('t2')).toContain('28.06%{opacity:0}28.07%,100%{opacity:1}');
  expect(rule('t1-2')).toContain('0%,17.53%{opacity:0}17.54%,28.07%{opacity:1}31.93%,100%{opacity:0}');
});
