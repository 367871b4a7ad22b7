import { byId, create } from './dom.js';
import { examplesFor, isNano, puzzles } from './examples.js';
import { FormError, hole } from './request.js';
import { makePuzzle } from './sudoku.js';

/** @import { Form } from './request.js' */

/** The form: what to unmask, and how. */
export class Composer {
  #form = /** @type {HTMLFormElement} */ (byId('form'));
  #puzzle = makePuzzle(6, 18);
  /** Steps by mode: each has its own idea of enough. @type {Record<string, string>} */
  #steps = { prompt: '32', holes: '', sudoku: '18' };
  #mode = 'prompt';

  /**
   * @param {{ onChange: () => void, onSubmit: () => void }} listeners
   */
  constructor({ onChange, onSubmit }) {
    this.onChange = onChange;
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      onSubmit();
    });
    this.#form.addEventListener('input', (event) => {
      this.#input(event.target);
      this.showProblem(null);
      onChange();
    });
    this.#form.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.#form.requestSubmit();
    });
    const group = byId('puzzles');
    for (const { size, holes, label } of puzzles) {
      const button = this.#example(group, label, () => {
        this.#puzzle = makePuzzle(size, holes);
        this.#field('steps').value = String(holes);
      });
      button.ariaLabel = `New puzzle, ${label}`;
    }
    this.#update();
  }

  /** Fits the examples and the beginning values to a model. @param {string | null} model */
  offer(model) {
    const { prompts, texts, maxTokens, steps } = examplesFor(model);
    byId('sudoku-mode').hidden = !isNano(model);
    for (const prompt of prompts) {
      this.#example(byId('prompt-examples'), prompt, () => {
        this.#field('prompt').value = prompt;
      });
    }
    for (const { text, tokensPerHole, label } of texts) {
      this.#example(byId('holes-examples'), label, () => {
        this.#field('text').value = text;
        this.#field('tokensPerHole').value = tokensPerHole;
      });
    }
    this.#field('prompt').value ||= prompts[0] ?? '';
    this.#field('text').value ||= texts[0]?.text ?? '';
    this.#field('tokensPerHole').value ||= texts[0]?.tokensPerHole ?? '4';
    this.#field('maxTokens').value ||= maxTokens;
    this.#field('steps').value ||= steps;
    this.onChange();
  }

  /** @returns {Form} */
  get form() {
    const values = /** @type {Omit<Form, 'puzzle'>} */ (Object.fromEntries(new FormData(this.#form)));
    return { ...values, puzzle: this.#puzzle };
  }

  /**
   * What a run of this form would begin with: pieces of text, and numbers of masks.
   *
   * @returns {(string | number)[]}
   */
  get preview() {
    const { mode, prompt, text, maxTokens, tokensPerHole } = this.form;
    if (mode === 'prompt') return [`${prompt}\n`, Number(maxTokens) || 0];
    const count = Number(tokensPerHole) || 4;
    return text.split(hole).flatMap((piece, i) => (i === 0 ? [piece] : [count, piece]));
  }

  /** @param {number | string} seed */
  setSeed(seed) {
    this.#field('seed').value = String(seed);
  }

  /** Says what is wrong with the form, and goes there. @param {FormError | null} error */
  showProblem(error) {
    byId('problem').textContent = error?.message ?? '';
    for (const field of this.#form.querySelectorAll('[aria-invalid]')) field.removeAttribute('aria-invalid');
    if (error === null || error.field === 'puzzle') return;
    const field = this.#field(error.field);
    field.setAttribute('aria-invalid', 'true');
    field.focus();
  }

  /** @param {string} name @returns {HTMLInputElement} */
  #field(name) {
    return /** @type {HTMLInputElement} */ (this.#form.elements.namedItem(name));
  }

  /**
   * @param {HTMLElement} place
   * @param {string} label
   * @param {() => void} take
   */
  #example(place, label, take) {
    const button = create('button', { type: 'button', textContent: label });
    button.addEventListener('click', () => {
      take();
      this.showProblem(null);
      this.#update();
      this.onChange();
    });
    place.append(' ', button);
    return button;
  }

  /** @param {EventTarget | null} target */
  #input(target) {
    if (target instanceof HTMLInputElement && target.name === 'mode') {
      this.#steps[this.#mode] = this.#field('steps').value;
      this.#mode = target.value;
      this.#field('steps').value = this.#steps[this.#mode] ?? '';
    }
    this.#update();
  }

  /** Shows what belongs to the mode and the schedule, and hides the rest. */
  #update() {
    const { mode, schedule, puzzle } = this.form;
    for (const part of this.#form.querySelectorAll('[data-for]')) {
      const element = /** @type {HTMLElement} */ (part);
      element.hidden = element.dataset.for !== mode;
    }
    for (const part of this.#form.querySelectorAll('[data-schedule]')) {
      const element = /** @type {HTMLElement} */ (part);
      element.hidden = element.dataset.schedule !== schedule;
    }
    byId('hole-count').textContent = String(puzzle.cells.filter((digit) => digit === 0).length);
  }
}
