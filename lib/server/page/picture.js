import { glyphsOf } from './cell.js';
import { classes, classOf } from './confidence.js';
import { columnsOf, placeBoard, placeText } from './picture-place.js';
import { baseStyle } from './picture-style.js';
import { round, Timetable } from './picture-time.js';
import { endOf, isSpecial } from './recording.js';

/**
 * @import { Layout, Place } from './picture-place.js'
 * @import { Recording } from './recording.js'
 * @import { Puzzle } from './sudoku.js'
 *
 * A run of a picture: its title, its recording, and the puzzle if it is one.
 * @typedef {{ title: string, recording: Recording, puzzle: Puzzle | null }} Run
 */

const margin = 40;
const gap = 64;
const barsHeight = 34;

/**
 * Runs as a self-contained animated SVG: how they unmask, step by step, on one clock, with the number of forward
 * passes. With reduced motion it shows how they ended.
 *
 * @param {readonly Run[]} runs
 * @returns {string} the same for the same runs
 */
export function drawPicture(runs) {
  const timetable = new Timetable(Math.max(...runs.map(({ recording }) => recording.frames.length)));
  const layouts = runs.map(layoutOf);
  // Boards are side by side, texts one below the other.
  const beside = layouts.every(({ board }) => board);
  let [x, y] = [margin, margin];
  let [width, height] = [legendWidth, 0];
  const drawn = runs.map((run, i) => {
    const layout = /** @type {Layout} */ (layouts[i]);
    if (i > 0 && beside) x += layout.width + gap;
    if (i > 0 && !beside) y = height + gap / 2;
    width = Math.max(width, x - margin + layout.width);
    height = Math.max(height, y + layout.height + 138);
    return `<g transform="translate(${round(x)} ${round(y)})">${drawRun(run, layout, timetable)}</g>`;
  });
  const whole = { width: Math.ceil(width + 2 * margin), height: Math.ceil(height + 66) };
  const legend = `<g transform="translate(${margin} ${whole.height - 40})">${drawLegend()}</g>`;
  const said = runs.map(({ title, recording }) => `${title}: ${passes(recording.frames.length)}`).join('; ');
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${whole.width} ${whole.height}" width="${whole.width}" height="${whole.height}" role="img">`,
    `<title>${plain(`A text unmasking step by step. ${said}.`)}</title>`,
    `<style>${baseStyle}\n${timetable.style}</style>`,
    `<rect class="paper" width="100%" height="100%" rx="6"/>`,
    ...drawn,
    legend,
    '</svg>\n',
  ].join('\n');
}

/** @param {Run} run */
function layoutOf({ recording, puzzle }) {
  const cells = recording.cellsAt(recording.frames.length);
  if (puzzle !== null) return placeBoard(puzzle, cells);
  const end = endOf(cells);
  return placeText(cells.filter((cell, i) => i < end || (i > end && cell.state === 'fixed')));
}

/**
 * @param {Run} run
 * @param {Layout} layout
 * @param {Timetable} timetable
 */
function drawRun({ title, recording, puzzle }, layout, timetable) {
  const count = recording.frames.length;
  const top = 28;
  const type = puzzle === null ? 'code' : 'digit';
  // A long run of many tokens is drawn without guesses, to keep the picture small.
  const guesses = count * layout.places.length <= 4000;
  const histories = guesses ? historiesOf(recording) : new Map();
  const given = layout.given.map(({ x, y, text }) => textAt(x, y, text, `${type} soft`));
  const places = layout.places.map((place) => drawPlace(place, type, histories, timetable));
  const lines = layout.lines
    .toSorted((a, b) => Number(a.heavy) - Number(b.heavy))
    .map(
      ({ x, y, x2, y2, heavy }) => `<path class="${heavy ? 'heavy' : 'rule'}" d="M${x} ${y}L${x2} ${y2}"/>`,
    );
  const { width, height } = layout;
  const board = puzzle === null ? [] : [`<rect class="sheet" width="${width}" height="${height}"/>`];
  const frame = puzzle === null ? [] : [`<rect class="frame" width="${width}" height="${height}"/>`];
  return [
    textAt(0, 0, title, 'title'),
    `<g transform="translate(0 ${top})">`,
    ...board,
    ...given,
    ...places,
    ...lines,
    ...frame,
    '</g>',
    `<g transform="translate(0 ${top + height})">`,
    drawCounter(recording, Math.min(width, 400), timetable),
    '</g>',
  ].join('\n');
}

/**
 * The guesses for each position, with the frames that show them: equal consecutive ones are merged.
 *
 * @param {Recording} recording
 */
function historiesOf(recording) {
  /** @type {Map<number, { text: string, level: number, from: number, to: number }[]>} */
  const histories = new Map();
  const last = recording.frames.length;
  recording.frames.forEach(({ provisional }, i) => {
    const to = i + 1 < last ? i + 2 : Number.POSITIVE_INFINITY;
    for (const { position, text, confidence } of provisional) {
      const history = histories.get(position) ?? [];
      const level = classOf(confidence);
      const before = history.at(-1);
      if (before?.to === i + 1 && before.text === text && before.level === level) before.to = to;
      else history.push({ text, level, from: i + 1, to });
      histories.set(position, history);
    }
  });
  return histories;
}

/**
 * A token: its final text, and above it, for their frames, its mask, its guesses, and the step that committed it.
 *
 * @param {Place} place
 * @param {string} type
 * @param {Map<number, { text: string, level: number, from: number, to: number }[]>} histories
 * @param {Timetable} timetable
 */
function drawPlace({ x, y, width, height, cell }, type, histories, timetable) {
  const { commit, text, position } = cell;
  const box = (/** @type {string} */ name) =>
    `<rect class="${name.trim()}" x="${round(x)}" y="${y}" width="${round(width)}" height="${height}"/>`;
  const word = (/** @type {string} */ shown, /** @type {string} */ name) => {
    if (isSpecial(shown)) return textAt(x + width / 2, y + height * 0.68, '·', `digit soft ${name}`);
    if (type === 'digit') return textAt(x + width / 2, y + height * 0.68, shown, `digit ${name}`);
    const glyphs = glyphsOf(shown).replaceAll('\n', '').replaceAll('\u200B', '');
    const fit = round(Math.min(width, columnsOf(glyphs) * 10.25));
    return textAt(x, y + 17, glyphs, `code ${name}`, ` textLength="${fit}" lengthAdjust="spacingAndGlyphs"`);
  };
  const at = commit?.frame ?? Number.POSITIVE_INFINITY;
  const parts = [];
  if (commit !== null) {
    const level = classOf(commit.confidence);
    const weight = 5 - level;
    const there = timetable.during(at);
    parts.push(box(`sure${level} ${there}`));
    if (weight > 0) {
      parts.push(
        `<rect class="line${level} ${there}" x="${round(x)}" y="${round(y + height - weight)}" width="${round(width)}" height="${weight}"/>`,
      );
    }
    parts.push(word(text, there));
  }
  parts.push(box(`mask ${timetable.during(0, Math.min(1, at))}`));
  if (at > 1) parts.push(box(`faint ${timetable.during(1, at)}`));
  for (const { text: guess, level, from, to } of histories.get(position) ?? []) {
    parts.push(word(guess, `guess${level} ${timetable.during(from, to)}`));
  }
  if (commit !== null) {
    const now = timetable.during(at, at + 1);
    parts.push(box(`fresh ${now}`), word(text, `on ${now}`));
  }
  return parts.join('');
}

/**
 * The number of forward passes so far, and a bar for each, as high as the number of tokens that it committed.
 *
 * @param {Recording} recording
 * @param {number} width
 * @param {Timetable} timetable
 */
function drawCounter({ frames, committed }, width, timetable) {
  const max = Math.max(1, ...committed);
  const digits = String(frames.length).length;
  const step = width / Math.max(timetable.frames, 12);
  const bars = committed.map((count, i) => {
    const tall = Math.max(2, (count / max) * barsHeight);
    const there = timetable.during(i + 1);
    return `<rect class="fresh ${there}" x="${round(i * step)}" y="${round(22 + barsHeight - tall)}" width="${round(step * 0.8)}" height="${round(tall)}"/>`;
  });
  const counts = Array.from({ length: frames.length + 1 }, (_, i) => {
    const there = i === frames.length ? timetable.during(i) : timetable.during(i, i + 1);
    return textAt(digits * 18, 96, String(i), `count end ${there}`);
  });
  const label = frames.length === 1 ? 'forward pass' : 'forward passes';
  const ground = `<path class="rule" d="M0 ${22.5 + barsHeight}H${round(width)}"/>`;
  return [...bars, ground, ...counts, textAt(8 + digits * 18, 96, label, 'soft')].join('\n');
}

const legendWidth = 600;

/** The legend of the colours. */
function drawLegend() {
  /** @type {[string, string, number][]} */
  const entries = [
    ['mask', 'masked', 84],
    ['fresh', 'new in this step', 142],
    ...classes.map(({ level, label }, i) => {
      const text = i === 0 ? `sure: ${label}` : label;
      return /** @type {[string, string, number]} */ ([`sure${level}`, text, 36 + text.length * 7.2]);
    }),
  ];
  let x = 0;
  return entries
    .map(([name, label, advance]) => {
      const level = Number(/^sure(\d)$/.exec(name)?.[1] ?? 5);
      const line =
        level < 5
          ? `<rect class="line${level}" x="${round(x)}" y="${level}" width="16" height="${5 - level}"/>`
          : '';
      const drawn = `<rect class="${name}" x="${round(x)}" y="-11" width="16" height="16"/>${line}${textAt(x + 23, 2, label, 'soft small')}`;
      x += advance;
      return drawn;
    })
    .join('\n');
}

/**
 * @param {number} x
 * @param {number} y
 * @param {string} text
 * @param {string} name
 * @param {string} [more]
 */
const textAt = (x, y, text, name, more = '') =>
  `<text class="${name.trim()}" x="${round(x)}" y="${round(y)}"${more}>${plain(text)}</text>`;

const passes = (/** @type {number} */ count) => `${count} forward pass${count === 1 ? '' : 'es'}`;

/** Escapes a text for XML, which allows neither control characters nor lone surrogates. @param {string} text */
const plain = (text) =>
  text
    .replaceAll(/[\p{Cc}\p{Cs}\uFFFE\uFFFF]/gu, '◌')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
