/**
 * @import { End, Frame, Prediction, Start } from './contract.d.ts'
 *
 * The committed token of a position, with its step of the run and its frame, counted from 1: steps that commit nothing
 * send no frame.
 * @typedef {Prediction & { step: number, frame: number }} Commit
 *
 * State of one position after a frame.
 * @typedef {{ position: number, state: 'fixed' | 'masked' | 'fresh' | 'written', text: string,
 *   commit: Commit | null, guess: Prediction | null }} Cell
 *
 * @typedef {{ step: number, committed: number, written: number, holes: number, perStep: number,
 *   perSecond: number | null, seconds: number, entropy: number | null }} Figures
 */

/** A run as it was received: each of its steps can be shown again. */
export class Recording {
  /** @type {Frame[]} */
  frames = [];
  /** Total entropy of the guesses of each frame, in nats. @type {number[]} */
  entropies = [];
  /** @type {End | null} */
  end = null;
  /** No more frames will arrive: the run ended, failed, or was stopped. */
  closed = false;
  /** @type {Map<number, Commit>} */
  #commits = new Map();

  /**
   * @param {Start} start
   * @param {{ draws?: boolean }} [run] whether it draws random numbers, so that its seed matters
   */
  constructor(start, { draws = true } = {}) {
    this.start = start;
    this.draws = draws;
    /** Positions that were masked at the start. */
    this.holes = start.tokens.filter(({ masked }) => masked).map(({ position }) => position);
  }

  /** @param {Frame} frame */
  add(frame) {
    this.frames.push(frame);
    this.entropies.push(frame.provisional.reduce((sum, { entropy }) => sum + entropy, 0));
    for (const token of frame.committed) {
      this.#commits.set(token.position, { ...token, step: frame.step, frame: this.frames.length });
    }
  }

  /**
   * The canvas after `count` frames; 0 is the canvas as it was sent. The guesses are those that the last of these
   * frames made and did not commit.
   *
   * @param {number} count
   * @returns {Cell[]}
   */
  cellsAt(count) {
    const provisional = this.frames[count - 1]?.provisional ?? [];
    const guesses = new Map(provisional.map((guess) => [guess.position, guess]));
    return this.start.tokens.map(({ position, text, masked }) => {
      if (!masked) return { position, state: 'fixed', text, commit: null, guess: null };
      const commit = this.#commits.get(position);
      if (commit === undefined || commit.frame > count) {
        return { position, state: 'masked', text: '', commit: null, guess: guesses.get(position) ?? null };
      }
      const state = commit.frame === count ? 'fresh' : 'written';
      return { position, state, text: commit.text, commit, guess: null };
    });
  }

  /**
   * The numbers after `count` frames.
   *
   * @param {number} count
   * @returns {Figures}
   */
  figuresAt(count) {
    const frame = this.frames[count - 1];
    const written = this.frames.slice(0, count).reduce((sum, { committed }) => sum + committed.length, 0);
    const seconds = (frame?.elapsed_ms ?? 0) / 1000;
    return {
      step: frame?.step ?? 0,
      committed: frame?.committed.length ?? 0,
      written,
      holes: this.holes.length,
      perStep: count === 0 ? 0 : written / count,
      perSecond: seconds > 0 ? written / seconds : null,
      seconds,
      entropy: this.entropies[count - 1] ?? null,
    };
  }

  /** Total number of steps: the planned ones until the run has ended. */
  get steps() {
    return (this.end === null ? undefined : this.frames.at(-1)?.step) ?? this.start.steps;
  }

  /** How many tokens each frame committed. */
  get committed() {
    return this.frames.map((frame) => frame.committed.length);
  }

  /**
   * The text of the holes after `count` frames, `░` for masked positions.
   *
   * @param {number} count
   */
  writtenAt(count) {
    const cells = this.cellsAt(count).filter(({ state }) => state !== 'fixed');
    return readable(cells.slice(0, endOf(cells)));
  }

  /** The text that the run returned; the latest canvas if it did not end. */
  get result() {
    return this.end?.text?.replaceAll(/<\|[^|<>]*\|>/g, '') ?? readable(this.cellsAt(this.frames.length));
  }
}

/** @param {readonly Cell[]} cells */
const readable = (cells) =>
  cells.map(({ state, text }) => (state === 'masked' ? '░' : isSpecial(text) ? '' : text)).join('');

/**
 * Whether a token is not part of the text: an end or a pad.
 *
 * @param {string} text
 */
export const isSpecial = (text) => text === '' || /^<[|｜].*[|｜]>$|^<\/?s>$/.test(text);

/**
 * Where the text ends: the index of the first written cell that holds a special token, or the number of cells.
 *
 * @param {readonly Cell[]} cells
 */
export function endOf(cells) {
  const end = cells.findIndex(({ commit }) => commit !== null && isSpecial(commit.text));
  return end === -1 ? cells.length : end;
}
