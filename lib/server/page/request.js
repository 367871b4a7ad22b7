import { textOf } from './sudoku.js';

/**
 * @import { DenoiseRequest, Schedule, ScheduleEntry } from './contract.d.ts'
 * @import { Puzzle } from './sudoku.js'
 *
 * Content of the form, as typed.
 * @typedef {{ mode: 'prompt' | 'holes' | 'sudoku', prompt: string, text: string, puzzle: Puzzle,
 *   maxTokens: string, tokensPerHole: string, steps: string, schedule: string, gamma: string, tau: string,
 *   blocks: string, temperature: string, seed: string, race?: string,
 *   parameter?: string, entry?: ScheduleEntry }} Form
 */

/** The choice of the schedule that the model has of its own: a request without one. */
export const own = '';

/** Text that marks a hole. */
export const hole = '___';

/** An invalid value of the form, with the name of the field. */
export class FormError extends Error {
  /**
   * @param {keyof Form} field
   * @param {string} message
   */
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

/** Schedules that do not draw positions at random. */
const steady = ['entropy', 'confidence', 'margin', 'entropy-bounded', 'threshold'];

/**
 * Whether a run draws random numbers, so that its seed matters; true if a form leaves that open.
 *
 * @param {{ temperature?: string | number, schedule?: Schedule }} settings of a form or a request
 * @returns {boolean}
 */
export function draws({ temperature = 0, schedule = 'entropy' }) {
  if (typeof schedule !== 'string') {
    const { type, schedule: inner } = schedule;
    return draws({ temperature, schedule: type === 'blocks' ? inner : type });
  }
  return Number(String(temperature).replace(',', '.')) !== 0 || !steady.includes(schedule);
}

/**
 * The request of a form.
 *
 * @param {Form} form
 * @returns {DenoiseRequest}
 * @throws FormError
 */
export function requestOf(form) {
  return { ...contentOf(form), ...settingsOf(form) };
}

/**
 * @param {Form} form
 * @returns {DenoiseRequest}
 */
function contentOf(form) {
  switch (form.mode) {
    case 'prompt': {
      if (form.prompt.trim() === '') throw new FormError('prompt', 'Type a prompt first.');
      return { prompt: form.prompt, max_tokens: integer(form, 'maxTokens', 'The number of tokens', 1) };
    }
    case 'holes': {
      if (!form.text.includes(hole)) {
        throw new FormError('text', `Mark each hole with ${hole}, three underscores.`);
      }
      const perHole = integer(form, 'tokensPerHole', 'The number of tokens in a hole', 1);
      return { text: form.text, tokens_per_hole: perHole };
    }
    case 'sudoku':
      return { text: textOf(form.puzzle, hole), tokens_per_hole: 1 };
  }
}

/**
 * @param {Form} form
 * @returns {DenoiseRequest}
 */
function settingsOf(form) {
  return {
    steps: integer(form, 'steps', 'The number of steps', 1),
    schedule: scheduleOf(form),
    temperature: number(form, 'temperature', 'The temperature', 0, 100) ?? 0,
    seed: draws(form) ? seedOf(form.seed) : undefined,
  };
}

/**
 * @param {Form} form
 * @returns {Schedule | undefined}
 */
function scheduleOf(form) {
  if (form.schedule === own) return undefined;
  /** @type {Schedule} */
  let schedule = form.schedule;
  if (form.schedule === 'entropy-bounded') {
    const gamma = number(form, 'gamma', 'The bound of entropy', 0, Number.MAX_VALUE);
    if (gamma === undefined) throw new FormError('gamma', 'Give the bound of entropy, for example 0.1.');
    schedule = { type: form.schedule, gamma };
  }
  // A schedule that only the server knows.
  if (form.entry?.parameter) {
    const { name, min, max, suggested } = form.entry.parameter;
    const value = number(form, 'parameter', `The schedule's ${name}`, min, max ?? Number.MAX_VALUE);
    schedule = { type: form.schedule, [name]: value ?? suggested };
  }
  if (form.schedule === 'threshold') {
    const tau = number(form, 'tau', 'The threshold', 0, 100);
    if (!tau) throw new FormError('tau', 'Give the threshold in percent, for example 90.');
    schedule = { type: form.schedule, tau: tau / 100 };
  }
  const length = integer(form, 'blocks', 'The length of a block', 1);
  return length === undefined ? schedule : { type: 'blocks', length, schedule };
}

/**
 * A number of up to 64 bits; a string if it is beyond the safe integers of JavaScript.
 *
 * @param {string} text
 */
function seedOf(text) {
  const seed = text.trim();
  if (seed === '') return undefined;
  if (!/^\d{1,20}$/.test(seed) || BigInt(seed) >= 2n ** 64n) {
    throw new FormError('seed', 'The seed must be a whole number below 2⁶⁴, or empty for a random one.');
  }
  return Number.isSafeInteger(Number(seed)) ? Number(seed) : seed;
}

/**
 * @param {Form} form
 * @param {'maxTokens' | 'tokensPerHole' | 'steps' | 'blocks'} field
 * @param {string} name
 * @param {number} min
 */
function integer(form, field, name, min) {
  const value = number(form, field, name, min, 1_000_000);
  if (value !== undefined && !Number.isInteger(value)) {
    throw new FormError(field, `${name} must be a whole number, not ${form[field]}.`);
  }
  return value;
}

/**
 * An empty field leaves the choice to the server.
 *
 * @param {Form} form
 * @param {Exclude<keyof Form, 'puzzle' | 'race' | 'entry'>} field
 * @param {string} name
 * @param {number} min
 * @param {number} max
 */
function number(form, field, name, min, max) {
  const text = (form[field] ?? '').trim().replace(',', '.');
  if (text === '') return undefined;
  const value = Number(text);
  if (!Number.isFinite(value)) throw new FormError(field, `${name} must be a number, not “${form[field]}”.`);
  if (value < min) throw new FormError(field, `${name} must be at least ${min}.`);
  if (value > max) throw new FormError(field, `${name} must be at most ${max}.`);
  return value;
}
