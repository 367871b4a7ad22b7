import { byId, create } from './dom.js';
import { examplesFor, habitsOf, puzzles } from './examples.js';
import { warningFor } from './knowledge.js';
import { FormError, hole, own } from './request.js';
import { layouts, makePuzzle } from './sudoku.js';

/**
 * @import { stateOf } from './address.js'
 * @import { ScheduleEntry, ServedModel } from './contract.d.ts'
 * @import { Fields } from './examples.js'
 * @import { Form } from './request.js'
 */

/** The form: what to unmask, and how. */
export class Composer {
  #form = /** @type {HTMLFormElement} */ (byId('form'));
  #puzzle = makePuzzle(6, 18);
  #mode = 'prompt';
  #beginning = examplesFor(null).fields;
  /** Suitable steps and entropy bound by mode. */
  #habits = habitsOf(this.#beginning);
  /** The initial form came from the address. */
  #restored = false;
  /** The server runs the embedded model. */
  #embedded = false;
  /** Schedules that only the server knows. @type {ScheduleEntry[]} */
  #others = [];

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

  /** Adapts the examples and initial values to a model. @param {ServedModel | null} model */
  offer(model) {
    const { fields, prompts, texts } = examplesFor(model);
    this.#embedded = model?.embedded === true;
    this.#beginning = fields;
    this.#learn(model?.schedules ?? []);
    if (fields.schedule === own) this.#offerOwn();
    byId('sudoku-mode').hidden = !this.#embedded;
    for (const [id, examples] of Object.entries({ 'prompt-examples': prompts, 'holes-examples': texts })) {
      for (const { label, fields } of examples) this.#example(byId(id), label, () => this.#fill(fields));
    }
    if (!this.#restored) {
      this.#habits = habitsOf(fields);
      this.#fill({ ...fields, mode: this.form.mode, ...this.#habits[this.form.mode] });
    } else {
      for (const name of /** @type {const} */ (['prompt', 'text', 'maxTokens', 'tokensPerHole'])) {
        this.#field(name).value ||= fields[name];
      }
    }
    this.#update();
    this.onChange();
  }

  /** Takes a form from an address. @param {NonNullable<ReturnType<typeof stateOf>>} state */
  restore({ cells, puzzle, ...fields }) {
    this.#restored = true;
    this.#fill({ ...this.#beginning, ...fields });
    this.#mode = fields.mode ?? 'prompt';
    if (cells !== undefined) this.#puzzle = { layout: layouts[cells.length === 16 ? 4 : 6], cells };
    this.showProblem(null);
    this.#update();
  }

  /** @returns {Form} */
  get form() {
    const values = /** @type {Omit<Form, 'puzzle' | 'entry'>} */ (
      Object.fromEntries(new FormData(this.#form))
    );
    const entry = this.#others.find(({ type }) => type === values.schedule);
    return { ...values, puzzle: this.#puzzle, ...(entry && { entry }) };
  }

  /**
   * The initial canvas of this form: pieces of text, and numbers of masks.
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

  /** Shows an error of the form and focuses its field. @param {FormError | null} error */
  showProblem(error) {
    byId('problem').textContent = error?.message ?? '';
    for (const field of this.#form.querySelectorAll('[aria-invalid]')) field.removeAttribute('aria-invalid');
    if (error === null || error.field === 'puzzle') return;
    const field = this.#field(error.field);
    field.setAttribute('aria-invalid', 'true');
    field.focus();
  }

  /** Adds schedules for which this page has no text of its own. @param {ScheduleEntry[]} entries */
  #learn(entries) {
    const select = /** @type {HTMLSelectElement} */ (this.#form.elements.namedItem('schedule'));
    const known = [...select.options].map(({ value }) => value);
    // Blocks are a field of their own.
    this.#others = entries.filter(({ type }) => type !== 'blocks' && !known.includes(type));
    for (const { type, commits } of this.#others)
      select.append(create('option', { value: type, textContent: commits }));
  }

  /** Adds the choice of the model's own schedule, as the first one. */
  #offerOwn() {
    const select = /** @type {HTMLSelectElement} */ (this.#form.elements.namedItem('schedule'));
    if ([...select.options].some(({ value }) => value === own)) return;
    select.prepend(create('option', { value: own, textContent: 'as the model’s authors do' }));
  }

  /** The name of the chosen schedule, with its bound. */
  get scheduleTitle() {
    const { schedule, gamma, tau } = this.form;
    const name = this.#form.querySelector(`option[value="${CSS.escape(schedule)}"]`)?.textContent ?? schedule;
    const bound =
      schedule === 'entropy-bounded' ? ` ${gamma} nats` : schedule === 'threshold' ? ` ${tau} %` : '';
    return `${name.charAt(0).toUpperCase()}${name.slice(1)}${bound}`;
  }

  /** @param {Partial<Fields>} fields */
  #fill(fields) {
    for (const [name, value] of Object.entries(fields)) {
      const field = this.#form.elements.namedItem(name);
      if (field instanceof HTMLInputElement && field.type === 'checkbox') field.checked = value === 'on';
      else if (field instanceof RadioNodeList) field.value = value;
      else if (!(field instanceof HTMLSelectElement)) this.#field(name).value = value;
      // A schedule that this page does not know leaves the selection unchanged.
      else if ([...field.options].some((option) => option.value === value)) field.value = value;
    }
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
      const { steps, gamma } = this.form;
      this.#habits[this.#mode] = { steps, gamma };
      this.#mode = target.value;
      this.#fill(this.#habits[this.#mode] ?? {});
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
    const { entry } = this.form;
    byId('other-schedule').hidden = !entry?.parameter;
    byId('parameter-unit').textContent = entry?.parameter?.unit ?? '';
    this.#field('parameter').placeholder = String(entry?.parameter?.suggested ?? '');
    byId('at-most').hidden = schedule !== 'entropy-bounded' && schedule !== 'threshold';
    byId('warning').textContent = this.#embedded ? warningFor(this.form) : '';
    byId('hole-count').textContent = String(puzzle.cells.filter((digit) => digit === 0).length);
  }
}
