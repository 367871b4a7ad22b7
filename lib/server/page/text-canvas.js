import { blank, paint } from './cell.js';
import { create } from './dom.js';
import { endOf, isSpecial } from './recording.js';
import { Roving } from './roving.js';

/** @import { Cell } from './recording.js' */

/** A text as a row of tokens, one element each. */
export class TextCanvas {
  /** @type {HTMLElement[]} */
  #tokens = [];
  #roving;

  /**
   * @param {HTMLElement} root
   * @param {string} name prefix of the ids of its tokens
   * @param {(position: number | null) => void} onInspect the selected token
   */
  constructor(root, name, onInspect) {
    this.root = root;
    this.name = name;
    this.#roving = new Roving(root, onInspect, (key, index) => {
      if (key === 'ArrowRight' || key === 'ArrowDown') return index + 1;
      if (key === 'ArrowLeft' || key === 'ArrowUp') return index - 1;
      return index;
    });
  }

  /** Shows an empty canvas. @param {number} length tokens */
  open(length) {
    this.root.className = 'text-canvas';
    this.#fit(length);
    this.root.role = 'listbox';
    this.root.ariaLabel = `Canvas of ${length} tokens`;
    this.#tokens = Array.from({ length }, (_, i) =>
      create('span', { className: 'token', id: `${this.name}token-${i}`, role: 'option' }),
    );
    this.root.replaceChildren(...this.#tokens);
    this.#roving.use(this.#tokens);
  }

  /**
   * @param {readonly Cell[]} cells
   * @param {{ guesses: boolean }} options
   */
  show(cells, { guesses }) {
    const end = endOf(cells);
    let last = -1;
    cells.forEach((cell, i) => {
      const token = this.#tokens[i];
      if (token === undefined) return;
      paint(token, cell, guesses);
      // Cells after the end are not part of the text, whatever they become; nor are given pads.
      const beyond = i > end || (cell.state === 'fixed' && isSpecial(cell.text));
      token.classList.toggle('beyond', beyond);
      if (!beyond) last = i;
    });
    this.#roving.limit(last + 1);
  }

  /** Sets the font size: larger for a short text, smaller for a long one. @param {number} length tokens, about */
  #fit(length) {
    this.root.dataset.length = length <= 96 ? 'short' : length <= 256 ? 'middle' : 'long';
  }

  close() {
    this.#roving.use([]);
  }

  /**
   * Shows the initial canvas of a run, as far as the page knows it: pieces of text, and numbers of masks.
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
