import { Address } from './address.js';
import { keepKey, servedModel } from './client.js';
import { copyOnClick } from './clipboard.js';
import { CodePanel } from './code-panel.js';
import { Composer } from './composer.js';
import {
  aboutRace,
  aboutRun,
  announce,
  drawLegend,
  figureTexts,
  hideResult,
  showCell,
  showFailure,
  showFigures,
  showResult,
  verdictOf,
} from './details.js';
import { byId, lookAt, reducedMotion, showRunning } from './dom.js';
import { saveText } from './download.js';
import { explain, RequestError } from './failures.js';
import { askForKey } from './key-dialog.js';
import { Lane } from './lane.js';
import { drawPicture } from './picture.js';
import { dwellOf, Player } from './player.js';
import { race, rivalTitle } from './race.js';
import { FormError, requestOf } from './request.js';
import { Timeline } from './timeline.js';

/**
 * @import { DenoiseRequest } from './contract.d.ts'
 * @import { Recording } from './recording.js'
 * @import { Puzzle } from './sudoku.js'
 */

const player = new Player();
/** The run in progress. @type {AbortController | null} */
let running = null;
/** The result has been announced. */
let settled = false;
/** How the shown run was started: its schedule. */
let title = '';

const guesses = /** @type {HTMLInputElement} */ (byId('guesses'));
const pace = /** @type {HTMLSelectElement} */ (byId('pace'));
const againButton = /** @type {HTMLButtonElement} */ (byId('again'));

const lane = new Lane(byId('lane'), '', inspect);
/** The other side of a race. */
const rival = new Lane(byId('rival'), 'rival-', inspect);
const timeline = new Timeline({ seek, step: (by) => seek(player.shown + by), toggle: togglePlay });
const composer = new Composer({ onChange: change, onSubmit: () => void run() });
const code = new CodePanel(() => composer.form);
const address = new Address((state) => {
  composer.restore(state);
  code.update();
  preview();
});

/** Shows a position of a canvas in the inspector. @param {Lane} where @param {number | null} position */
function inspect(where, position) {
  const cells = position === null ? [] : (where.recording?.cellsAt(player.shown) ?? []);
  showCell(cells.find((cell) => cell.position === position) ?? null);
}

/** Called when the form has changed. */
function change() {
  if (ready) address.edit(composer.form);
  code.update();
  preview();
}
/** The form is filled: later changes are the user's. */
let ready = false;

/** Shows the canvas of the form, unless that would remove a run of the same kind from the page. */
function preview() {
  const form = composer.form;
  const wanted = form.mode === 'sudoku' ? form.puzzle : null;
  if (running !== null || (lane.recording !== null && lane.puzzle === wanted)) return;
  hideResult();
  showCell(null);
  timeline.clear();
  showFigures({});
  showRival('');
  lane.preview(wanted, composer.preview);
}

/** Shows both sides of a race, or removes the other one. @param {string} title of this side; empty: no race */
function showRival(title) {
  byId('lanes').classList.toggle('racing', title !== '');
  rival.root.hidden = title === '';
  if (title === '') rival.recording = null;
  lane.name(title);
  rival.name(title === '' ? '' : rivalTitle);
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
  address.run(form);
  showFailure(null);
  hideResult();
  showRunning(true);
  announce('Unmasking');
  try {
    const puzzle = form.mode === 'sudoku' ? form.puzzle : null;
    const [name, against] = [composer.scheduleTitle, form.race === 'on'];
    const opened = (/** @type {Recording} */ recording) => begin(recording, puzzle, name, against);
    await race(request, {
      lane,
      rival: against ? rival : null,
      signal: controller.signal,
      onOpen: opened,
      onMessage: took,
    });
  } catch (error) {
    if (!controller.signal.aborted) fail(error);
  }
  // A newer run owns the page now.
  if (running !== controller) return;
  controller.abort();
  running = null;
  showRunning(false);
  close();
}

/**
 * @param {Recording} recording
 * @param {Puzzle | null} puzzle
 * @param {string} name
 * @param {boolean} withRival
 */
function begin(recording, puzzle, name, withRival) {
  title = name;
  settled = false;
  againButton.disabled = false;
  againButton.textContent = recording.draws ? 'Again, same seed' : 'Again';
  player.begin();
  player.dwell = dwellOf(pace.value, withRival ? recording.holes.length : recording.start.steps);
  showCell(null);
  showRival(withRival ? name : '');
  rival.recording = null;
  lane.open(recording, puzzle);
  if (withRival) rival.preview(puzzle, []);
  draw();
  show();
  lookAt(byId('stage'));
}

/** Called after every event of a run. */
function took() {
  player.count = Math.max(lane.recording?.frames.length ?? 0, rival.recording?.frames.length ?? 0);
  draw();
  requestAnimationFrame(tick);
}

function draw() {
  if (lane.recording !== null) timeline.draw(lane.recording, player.shown, rival.recording);
}

/** Called when the shown run sends no more events. */
function close() {
  if (lane.recording === null) {
    preview();
    return;
  }
  for (const { recording } of [lane, rival]) if (recording !== null) recording.closed = true;
  player.close();
  draw();
  // The earlier run is still shown if the new one never started.
  if (settled) tell();
  show();
}

/** @param {unknown} error */
function fail(error) {
  showFailure(explain(error));
  announce('');
  if (error instanceof RequestError && error.status === 401) void useKey(() => run());
}

/**
 * Asks for a key and retries with it; false if the user gives none.
 *
 * @param {() => Promise<void>} action
 */
async function useKey(action) {
  const key = await askForKey();
  if (key === null) return false;
  keepKey(key);
  showFailure(null);
  code.update();
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

/** Draws the current frame, with its figures. */
function show() {
  const { recording } = lane;
  if (recording === null) return;
  const { shown, count, playing } = player;
  lane.show(shown, { guesses: guesses.checked });
  rival.show(shown, { guesses: guesses.checked });
  const figures = recording.figuresAt(Math.min(shown, recording.frames.length));
  const texts = figureTexts(figures, recording.steps);
  showFigures(texts);
  const summary = `Step ${texts.step}, ${figures.written} of ${figures.holes} written`;
  timeline.mark(shown, { count, playing, text: `${summary}: ${recording.writtenAt(shown)}` });
  if (recording.closed && !playing && !settled) settle();
}

/** Announces the result once it is visible. */
function settle() {
  if (lane.recording === null) return;
  settled = true;
  const verdict = tell();
  const { recording } = lane;
  const said = recording.end === null ? 'Stopped' : `Done: ${verdict || recording.result.trim()}`;
  announce(`${said}. ${aboutRun(recording)}${aboutRace(rival.recording)}`);
}

/** Shows the result, and whether it is right. */
function tell() {
  if (lane.recording === null) return '';
  const verdict = verdictOf(lane.recording, lane.puzzle);
  showResult(lane.recording, verdict, aboutRace(rival.recording));
  return verdict;
}

function stop() {
  running?.abort();
}

async function greet() {
  try {
    const model = await servedModel();
    byId('model').textContent = model?.id ?? '';
    code.model = model;
    composer.offer(model);
  } catch (error) {
    showFailure(explain(error));
    if (error instanceof RequestError && error.status === 401 && (await useKey(greet))) return;
    composer.offer(null);
  }
  ready = true;
}

byId('stop').addEventListener('click', stop);
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !(event.target instanceof Element && event.target.closest('dialog'))) stop();
});
againButton.addEventListener('click', () => {
  if (lane.recording === null) return;
  if (lane.recording.draws) composer.setSeed(lane.recording.start.seed);
  void run();
});
guesses.addEventListener('change', show);
pace.addEventListener('change', () => {
  player.dwell = dwellOf(pace.value, rival.recording?.holes.length ?? lane.recording?.start.steps ?? 1);
});
copyOnClick(byId('copy'), () => lane.recording?.result.trim() ?? '');
byId('save').addEventListener('click', () => {
  const runs = [
    { ...lane, title },
    { ...rival, title: rivalTitle },
  ].flatMap(({ recording, puzzle, title }) => (recording === null ? [] : [{ recording, puzzle, title }]));
  if (runs.length > 0) saveText(drawPicture(runs), 'unmasking.svg', 'image/svg+xml');
});
// The fragment of the address holds the form's state.
byId('skip').addEventListener('click', (event) => {
  event.preventDefault();
  byId('stage').focus();
});

if (reducedMotion()) pace.value = 'live';
drawLegend();
if (address.state !== null) composer.restore(address.state);
preview();
void greet();
