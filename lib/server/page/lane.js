import { Board } from './board.js';
import { create } from './dom.js';
import { TextCanvas } from './text-canvas.js';

/**
 * @import { Recording } from './recording.js'
 * @import { Puzzle } from './sudoku.js'
 */

/** Where a run is shown: a text or a board, and above it, in a race, what is run and how many passes it took. */
export class Lane {
  /** What is shown. @type {Recording | null} */
  recording = null;
  /** The puzzle of what is shown, when it is one. @type {Puzzle | null} */
  puzzle = null;
  #title = create('span');
  #count = create('b');
  #head;

  /**
   * @param {HTMLElement} root
   * @param {string} name begins the ids of its elements
   * @param {(lane: Lane, position: number | null) => void} onInspect the position that is pointed at
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

  /** What this lane runs; nothing outside a race. @param {string} title */
  name(title) {
    this.#title.textContent = title;
    this.#head.hidden = title === '';
  }

  /** Shows what a run would begin with. @param {Puzzle | null} puzzle @param {(string | number)[]} pieces */
  preview(puzzle, pieces) {
    this.recording = null;
    this.puzzle = puzzle;
    this.#count.textContent = '';
    this.#place();
    if (puzzle === null) this.canvas.preview(pieces);
    else this.board.open(puzzle);
  }

  /** Takes a run that begins. @param {Recording} recording @param {Puzzle | null} puzzle */
  open(recording, puzzle) {
    this.recording = recording;
    this.puzzle = puzzle;
    this.#place();
    this.canvas.close();
    if (puzzle === null) this.canvas.open(recording.start.tokens.length);
    else this.board.open(puzzle);
  }

  /**
   * Draws the run after some of its frames; those that it does not have yet, or has no more, change nothing.
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

  /** A text or a board, whichever is on. */
  #place() {
    this.canvas.root.hidden = this.puzzle !== null;
    this.board.root.hidden = this.puzzle === null;
  }
}
