import { Board } from './board.js';
import { create } from './dom.js';
import { TextCanvas } from './text-canvas.js';

/**
 * @import { Recording } from './recording.js'
 * @import { Puzzle } from './sudoku.js'
 */

/** Shows a run: a text or a board, and above it, in a race, the run's title and its number of passes. */
export class Lane {
  /** The shown run. @type {Recording | null} */
  recording = null;
  /** The puzzle of the shown run, if it is one. @type {Puzzle | null} */
  puzzle = null;
  #title = create('span');
  #count = create('b');
  #head;

  /**
   * @param {HTMLElement} root
   * @param {string} name prefix of the ids of its elements
   * @param {(lane: Lane, position: number | null) => void} onInspect the selected position
   */
  constructor(root, name, onInspect) {
    this.root = root;
    this.canvas = new TextCanvas(
      create('div', { id: name === '' ? 'canvas' : `${name}canvas` }),
      name,
      (at) => onInspect(this, at),
    );
    this.board = new Board(create('div', { id: name === '' ? 'board' : `${name}board` }), name, (hole) =>
      onInspect(this, hole === null ? null : (this.recording?.holes[hole] ?? null)),
    );
    this.#head = create('p', { className: 'lane-head', hidden: true }, this.#title, this.#count);
    root.replaceChildren(this.#head, this.canvas.root, this.board.root);
    this.#place();
  }

  /** Sets the title of this lane; empty outside a race. @param {string} title */
  name(title) {
    this.#title.textContent = title;
    this.#head.hidden = title === '';
  }

  /** Shows the initial canvas of a run. @param {Puzzle | null} puzzle @param {(string | number)[]} pieces */
  preview(puzzle, pieces) {
    this.recording = null;
    this.puzzle = puzzle;
    this.#count.textContent = '';
    this.#place();
    if (puzzle === null) this.canvas.preview(pieces);
    else this.board.open(puzzle);
  }

  /** Shows a run that starts. @param {Recording} recording @param {Puzzle | null} puzzle */
  open(recording, puzzle) {
    this.recording = recording;
    this.puzzle = puzzle;
    this.#place();
    this.canvas.close();
    if (puzzle === null) this.canvas.open(recording.start.tokens.length);
    else this.board.open(puzzle);
  }

  /**
   * Draws the run after a number of frames. A number beyond the run's frames shows its latest one.
   *
   * @param {number} frames
   * @param {{ guesses: boolean }} options
   */
  show(frames, { guesses }) {
    if (this.recording === null) return;
    const count = this.recording.frames.length;
    const passes = Math.min(frames, count);
    const cells = this.recording.cellsAt(frames > count && this.recording.end !== null ? frames : passes);
    const finished = this.recording.end !== null && passes === count;
    if (this.puzzle === null) this.canvas.show(cells, { guesses });
    else this.board.show(cells, { guesses });
    this.#count.textContent = `${passes} forward pass${passes === 1 ? '' : 'es'}`;
    this.root.classList.toggle('arrived', finished);
  }

  /** The text or the board, whichever is visible. */
  #place() {
    this.canvas.root.hidden = this.puzzle !== null;
    this.board.root.hidden = this.puzzle === null;
  }
}
