import { Board } from './board.js';
import { denoise, keepKey, servedModel } from './client.js';
import { copyText } from './clipboard.js';
import { Composer } from './composer.js';
import {
  aboutRun,
  announce,
  drawLegend,
  figureTexts,
  hideResult,
  showCell,
  showFailure,
  showFigures,
  showResult,
} from './details.js';
import { byId, reducedMotion } from './dom.js';
import { explain, RequestError } from './failures.js';
import { askForKey } from './key-dialog.js';
import { dwellOf, Player } from './player.js';
import { Recording } from './recording.js';
import { FormError, requestOf } from './request.js';
import { isSolved } from './sudoku.js';
import { TextCanvas } from './text-canvas.js';
import { Timeline } from './timeline.js';

/**
 * @import { DenoiseRequest, RunEvent } from './contract.d.ts'
 * @import { Puzzle } from './sudoku.js'
 */

const player = new Player();
/** What is shown. @type {Recording | null} */
let recording = null;
/** The puzzle of what is shown, when it is one. @type {Puzzle | null} */
let puzzle = null;
/** The run in progress. @type {AbortController | null} */
let running = null;
/** The result was told. */
let settled = false;

const guesses = /** @type {HTMLInputElement} */ (byId('guesses'));
const pace = /** @type {HTMLSelectElement} */ (byId('pace'));
const runButton = byId('run');
const stopButton = byId('stop');
const againButton = /** @type {HTMLButtonElement} */ (byId('again'));
const copyButton = byId('copy');

const canvas = new TextCanvas(byId('canvas'), inspect);
const board = new Board(byId('board'), (hole) =>
  inspect(hole === null ? null : (recording?.holes[hole] ?? null)),
);
const timeline = new Timeline({ seek, step: (by) => seek(player.shown + by), toggle: togglePlay });
const composer = new Composer({ onChange: preview, onSubmit: () => void run() });

/** Points at a position of the canvas. @param {number | null} position */
function inspect(position) {
  const cells = recording?.cellsAt(player.shown) ?? [];
  showCell(position === null ? null : (cells[position] ?? null));
}

/** Shows what the form stands for, unless that would take a run of its kind off the page. */
function preview() {
  const form = composer.form;
  const wanted = form.mode === 'sudoku' ? form.puzzle : null;
  if (running !== null || (recording !== null && puzzle === wanted)) return;
  recording = null;
  puzzle = wanted;
  hideResult();
  showCell(null);
  timeline.clear();
  showFigures({});
  showPlace();
  if (puzzle === null) canvas.preview(composer.preview);
  else board.open(puzzle);
}

/** On a narrow screen the canvas is below the form. */
function lookAtCanvas() {
  const { top } = byId('stage').getBoundingClientRect();
  if (top < innerHeight * 0.4) return;
  byId('stage').scrollIntoView({ block: 'start', behavior: reducedMotion() ? 'auto' : 'smooth' });
}

/** A text or a board, whichever is on. */
function showPlace() {
  canvas.root.hidden = puzzle !== null;
  board.root.hidden = puzzle === null;
}

async function run() {
  /** @type {DenoiseRequest} */
  let request;
  const { form } = composer;
  try {
    request = requestOf(form);
  } catch (error) {
    if (!(error instanceof FormError)) throw error;
    composer.showProblem(error);
    return;
  }
  running?.abort();
  const controller = new AbortController();
  running = controller;
  showFailure(null);
  hideResult();
  showRunning(true);
  announce('Unmasking');
  try {
    for await (const message of denoise(request, controller.signal)) {
      if (controller.signal.aborted) break;
      take(message, form.mode === 'sudoku' ? form.puzzle : null);
    }
  } catch (error) {
    if (!controller.signal.aborted) fail(error);
  }
  // A newer run has taken over, and the page is its own.
  if (running !== controller) return;
  running = null;
  showRunning(false);
  close();
}

/**
 * @param {Exclude<RunEvent, { event: 'error' }>} message
 * @param {Puzzle | null} ofPuzzle
 */
function take({ event, data }, ofPuzzle) {
  if (event === 'start') {
    recording = new Recording(data);
    puzzle = ofPuzzle;
    settled = false;
    againButton.disabled = false;
    player.begin();
    player.dwell = dwellOf(pace.value, data.steps);
    showCell(null);
    showPlace();
    canvas.close();
    if (puzzle === null) canvas.open(data.tokens.length);
    else board.open(puzzle);
    timeline.draw(recording, 0);
    show();
    lookAtCanvas();
  } else if (recording !== null && event === 'frame') {
    recording.add(data);
    player.count = recording.frames.length;
    timeline.draw(recording, player.shown);
  } else if (recording !== null && event === 'end') {
    recording.end = data;
  }
  requestAnimationFrame(tick);
}

/** Nothing more comes of the run that is shown. */
function close() {
  if (recording === null) {
    preview();
    return;
  }
  recording.closed = true;
  player.close();
  timeline.draw(recording, player.shown);
  // The run before is still there when the new one never began.
  if (settled) showResult(recording, verdictOf(recording));
  show();
}

/** @param {unknown} error */
function fail(error) {
  showFailure(explain(error));
  announce('');
  if (error instanceof RequestError && error.status === 401) void useKey(() => run());
}

/**
 * Asks for a key and tries again with it; false when there is none.
 *
 * @param {() => Promise<void>} action
 */
async function useKey(action) {
  const key = await askForKey();
  if (key === null) return false;
  keepKey(key);
  showFailure(null);
  await action();
  return true;
}

/** @param {number} now */
function tick(now) {
  if (player.advance(now)) show();
  if (player.playing) requestAnimationFrame(tick);
}

/** @param {number} index */
function seek(index) {
  player.seek(index);
  show();
}

function togglePlay() {
  if (player.playing) player.pause();
  else player.play();
  show();
  requestAnimationFrame(tick);
}

/** Draws the frame that is shown, with its figures. */
function show() {
  if (recording === null) return;
  const { shown, count, playing } = player;
  const cells = recording.cellsAt(shown);
  const figures = recording.figuresAt(shown);
  const finished = recording.end !== null && shown === count;
  const digits = puzzle === null ? null : board.show(cells, { guesses: guesses.checked });
  if (digits === null) canvas.show(cells, { guesses: guesses.checked, finished });
  showFigures(figureTexts(figures, recording.start.steps));
  const summary = `Step ${figures.step} of ${recording.start.steps}, ${figures.written} of ${figures.holes} written`;
  timeline.mark(shown, { count, playing, text: `${summary}: ${recording.writtenAt(shown)}` });
  if (recording.closed && !playing && !settled) settle();
}

/** Tells the result, once it is there to see. */
function settle() {
  if (recording === null) return;
  settled = true;
  const verdict = verdictOf(recording);
  showResult(recording, verdict);
  const said = recording.end === null ? 'Stopped' : `Done: ${verdict || recording.result.trim()}`;
  announce(`${said}. ${aboutRun(recording)}`);
}

/** Whether a Sudoku came out right; nothing for a text. @param {Recording} run */
function verdictOf(run) {
  if (puzzle === null || run.end === null) return '';
  const written = run.cellsAt(run.frames.length).filter(({ state }) => state !== 'fixed');
  const digits = puzzle.cells.map((digit) => digit || Number(written.shift()?.text));
  return isSolved(puzzle.layout, digits) ? 'Solved' : 'Not solved: some digits clash';
}

/** One of the two buttons is there, and keeps the focus that the other had. @param {boolean} on */
function showRunning(on) {
  const [there, gone] = on ? [stopButton, runButton] : [runButton, stopButton];
  const focused = document.activeElement === gone;
  there.hidden = false;
  gone.hidden = true;
  // Whoever looks at the canvas keeps looking at it.
  if (focused) there.focus({ preventScroll: true });
  document.body.classList.toggle('running', on);
}

function stop() {
  running?.abort();
}

async function greet() {
  try {
    const model = await servedModel();
    byId('model').textContent = model ?? '';
    composer.offer(model);
  } catch (error) {
    showFailure(explain(error));
    if (error instanceof RequestError && error.status === 401 && (await useKey(greet))) return;
    composer.offer(null);
  }
}

stopButton.addEventListener('click', stop);
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !(event.target instanceof Element && event.target.closest('dialog'))) stop();
});
againButton.addEventListener('click', () => {
  if (recording === null) return;
  composer.setSeed(recording.start.seed);
  void run();
});
guesses.addEventListener('change', show);
pace.addEventListener('change', () => {
  player.dwell = dwellOf(pace.value, recording?.start.steps ?? 1);
});
copyButton.addEventListener('click', async () => {
  if (recording === null) return;
  const done = await copyText(recording.result.trim());
  copyButton.textContent = done ? 'Copied' : 'Could not copy';
  announce(copyButton.textContent);
  setTimeout(() => {
    copyButton.textContent = 'Copy';
  }, 2000);
});

if (reducedMotion()) pace.value = 'live';
drawLegend();
preview();
void greet();
