import { blank, describe } from './cell.js';
import { classes, nats } from './confidence.js';
import { byId, create } from './dom.js';
import { isSolved } from './sudoku.js';

/**
 * @import { Cell, Figures, Recording } from './recording.js'
 * @import { Explanation } from './failures.js'
 * @import { Puzzle } from './sudoku.js'
 */

const plural = (/** @type {number} */ count, /** @type {string} */ noun) =>
  `${count} ${noun}${count === 1 ? '' : 's'}`;

const rounded = (/** @type {number} */ value) =>
  value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(1);

const duration = (/** @type {number} */ seconds) =>
  seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;

/**
 * The figures as text for the page.
 *
 * @param {Figures} figures
 * @param {number} steps total number of planned steps
 * @returns {Record<string, string>}
 */
export function figureTexts(figures, steps) {
  const { step, committed, written, holes, perStep, perSecond, entropy } = figures;
  return {
    step: `${step} of ${steps}`,
    committed: step === 0 ? '–' : `+${committed}`,
    written: `${written} of ${holes}`,
    perStep: step === 0 ? '–' : rounded(perStep),
    perSecond: perSecond === null ? '–' : rounded(perSecond),
    entropy: entropy === null ? '–' : nats(entropy),
  };
}

/** @param {Record<string, string>} texts */
export function showFigures(texts) {
  for (const place of byId('figures').querySelectorAll('[data-figure]')) {
    place.textContent = texts[/** @type {HTMLElement} */ (place).dataset.figure ?? ''] ?? '–';
  }
}

/**
 * Tokens, steps and time of a run, in one line.
 *
 * @param {Recording} recording
 */
export function aboutRun(recording) {
  const { start, end, frames, draws } = recording;
  const { written, seconds } = recording.figuresAt(frames.length);
  const count = end === null ? written : Math.max(written, end.usage.completion_tokens);
  const took = duration(end === null ? seconds : end.elapsed_ms / 1000);
  const seed = draws ? `, seed ${start.seed}` : '';
  return `${plural(count, 'token')} in ${plural(frames.length, 'step')}, ${took}${seed}`;
}

/** Whether a Sudoku is solved; empty for a text. @param {Recording} run @param {Puzzle | null} puzzle */
export function verdictOf(run, puzzle) {
  if (puzzle === null || run.end === null) return '';
  const written = run.cellsAt(run.frames.length).filter(({ state }) => state !== 'fixed');
  const digits = puzzle.cells.map((digit) => digit || Number(written.shift()?.text));
  return isSolved(puzzle.layout, digits) ? 'Solved' : 'Not solved: some digits clash';
}

/** Steps of the other side of a race. @param {Recording | null} rival */
export const aboutRace = (rival) =>
  rival === null || rival.frames.length === 0
    ? ''
    : `; one token a step: ${plural(rival.frames.length, 'step')}${rival.end === null ? ' so far' : ''}`;

/** @param {Recording} recording @param {string} verdict @param {string} race */
export function showResult(recording, verdict, race) {
  const text = verdict || recording.result.trim() || '(nothing)';
  byId('result').textContent = text;
  byId('result-block').classList.toggle('long', text.length > 30);
  byId('about').textContent = `${aboutRun(recording)}${race}`;
  byId('result-block').hidden = false;
}

export function hideResult() {
  byId('result-block').hidden = true;
}

/** @param {Cell | null} cell */
export function showCell(cell) {
  byId('inspector').textContent = cell === null ? '' : describe(cell);
}

/** @param {Explanation | null} explanation null removes it */
export function showFailure(explanation) {
  const place = byId('failure');
  if (explanation === null) {
    place.replaceChildren();
    return;
  }
  const { title, advice, detail } = explanation;
  const said = detail === '' ? [] : [create('p', { className: 'detail' }, detail)];
  place.replaceChildren(create('p', {}, create('strong', {}, title), ' ', advice), ...said);
}

/** Announces a text to screen readers. @param {string} text */
export function announce(text) {
  byId('announcer').textContent = text;
}

/** The legend: the scale of confidence, and the other kinds of cells. */
export function drawLegend() {
  /** @param {Record<string, string>} data @param {string} text @param {string} label @param {string} [className] */
  const entry = (data, text, label, className = '') => {
    const sample = create('span', { className: `token ${className}`, textContent: text, ariaHidden: 'true' });
    Object.assign(sample.dataset, data);
    return create('li', {}, sample, create('span', {}, label));
  };
  const scale = classes.map(({ level, label }) =>
    entry({ state: 'written', sure: String(level) }, 'a', label),
  );
  byId('legend').replaceChildren(
    create(
      'ul',
      { ariaLabel: 'Kinds of tokens' },
      entry({ state: 'masked' }, blank, 'masked'),
      entry({ state: 'masked', sure: '3' }, 'a', 'guess', 'guess'),
      entry({ state: 'fresh' }, 'a', 'new in this step'),
    ),
    create(
      'ul',
      { ariaLabel: 'Confidence when committed' },
      create('li', { className: 'title' }, 'sure'),
      ...scale,
    ),
  );
}
