import { blank, paint } from './cell.js';
import { create } from './dom.js';
import { endOf } from './recording.js';
import { Roving } from './roving.js';

/** @import { Cell } from './recording.js' */

/** A text as a row of tokens, one element each. */
export class TextCanvas {
  /** @type {HTMLElement[]} */
  #tokens = [];
  #roving;

  /**
   * @param {HTMLElement} root
   * @param {(position: number | null) => void} onInspect the token that is pointed at
   */
  constructor(root, onInspect) {
    this.root = root;
    this.#roving = new Roving(root, onInspect, (key, index) => {
      if (key === 'ArrowRight' || key === 'ArrowDown') return index + 1;
      if (key === 'ArrowLeft' || key === 'ArrowUp') return index - 1;
      return index;
    });
  }

  /** Takes the place over. @param {number} length tokens */
  open(length) {
    this.root.className = 'text-canvas';
    this.#fit(length);
    this.root.role = 'listbox';
    this.root.ariaLabel = `Canvas of ${length} tokens`;
    this.#tokens = Array.from({ length }, (_, i) =>
      create('span', { className: 'token', id: `token-${i}`, role: 'option' }),
    );
    this.root.replaceChildren(...this.#tokens);
    this.#roving.use(this.#tokens);
  }

  /**
   * @param {readonly Cell[]} cells
   * @param {{ guesses: boolean, finished: boolean }} options
   */
  show(cells, { guesses, finished }) {
    const end = endOf(cells);
    cells.forEach((cell, i) => {
      const token = this.#tokens[i];
      if (token === undefined) return;
      paint(token, cell, guesses);
      // What lies behind the end of the text is not part of it; what is masked there will stay so.
      token.classList.toggle(
        'beyond',
        i > end && cell.state !== 'fixed' && (finished || cell.state !== 'masked'),
      );
    });
  }

  /** A short text may be large, a long one is set smaller. @param {number} length tokens, about */
  #fit(length) {
    this.root.dataset.length = length <= 96 ? 'short' : length <= 256 ? 'middle' : 'long';
  }

  close() {
    this.#roving.use([]);
  }

  /**
   * What a run would begin with, as far as the page can know: pieces of text, and numbers of masks.
   *
   * @param {readonly (string | number)[]} pieces
   */
  preview(pieces) {
    this.close();
    this.root.className = 'text-canvas';
    this.#fit(pieces.reduce((/** @type {number} */ sum, piece) => sum + (Number(piece) || 8), 0));
    this.root.role = 'img';
    this.root.ariaLabel = 'Nothing is written yet';
    const tokens = pieces.flatMap((piece) => {
      if (typeof piece === 'string') {
        const text = create('span', { className: 'token', textContent: piece });
        text.dataset.state = 'fixed';
        return [text];
      }
      return Array.from({ length: Math.min(piece, 400) }, () => {
        const mask = create('span', { className: 'token', textContent: blank });
        mask.dataset.state = 'masked';
        return mask;
      });
    });
    this.root.replaceChildren(...tokens);
  }
}
