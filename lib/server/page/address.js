/**
 * @import { Form } from './request.js'
 *
 * @typedef {Partial<Omit<Form, 'entry'>>} FormState
 */

/** Fields by their names in an address, for each kind of text and for all of them. */
const names = /** @type {const} */ ({
  prompt: { prompt: 'prompt', tokens: 'maxTokens' },
  holes: { text: 'text', tokens: 'tokensPerHole' },
  sudoku: {},
  all: {
    steps: 'steps',
    schedule: 'schedule',
    gamma: 'gamma',
    tau: 'tau',
    parameter: 'parameter',
    blocks: 'blocks',
    temperature: 'temperature',
    seed: 'seed',
    race: 'race',
  },
});

/** @typedef {Exclude<keyof Form, 'puzzle' | 'mode' | 'entry'>} TextField */

/**
 * A form as the fragment of an address, without `#`: fragments are not sent to the server, so they are not in its logs.
 * A key or anything else that is not a setting is never included.
 *
 * @param {Form} form
 */
export function fragmentOf(form) {
  const entries = [['mode', form.mode]];
  if (form.mode === 'sudoku') entries.push(['puzzle', form.puzzle.cells.join('')]);
  for (const [name, field] of Object.entries({ ...names[form.mode], ...names.all })) {
    const value = form[/** @type {TextField} */ (field)] ?? '';
    const idle =
      (name === 'gamma' && form.schedule !== 'entropy-bounded') ||
      (name === 'parameter' && !form.entry?.parameter) ||
      (name === 'tau' && form.schedule !== 'threshold') ||
      (value === '' && name !== 'steps' && name !== 'tokens') ||
      (name === 'temperature' && value === '0');
    if (!idle) entries.push([name, value]);
  }
  return new URLSearchParams(entries).toString();
}

/**
 * The form's state in a fragment; null if it holds none. Omitted fields keep their initial values. Only a Sudoku is
 * checked for a valid form; the form itself validates all other values.
 *
 * @param {string} fragment with or without `#`
 * @returns {FormState & { cells?: number[] } | null}
 */
export function stateOf(fragment) {
  const parameters = new URLSearchParams(fragment.replace(/^#/, ''));
  const mode = parameters.get('mode');
  if (mode !== 'prompt' && mode !== 'holes' && mode !== 'sudoku') return null;
  /** @type {FormState & { cells?: number[] }} */
  const state = { mode, blocks: '', temperature: '0', seed: '', race: '' };
  for (const [name, field] of Object.entries({ ...names[mode], ...names.all })) {
    const value = parameters.get(name);
    if (value !== null) state[/** @type {TextField} */ (field)] = value;
  }
  const digits = parameters.get('puzzle') ?? '';
  if (mode === 'sudoku' && /^([0-4]{16}|[0-6]{36})$/.test(digits)) state.cells = [...digits].map(Number);
  return state;
}

/**
 * Keeps the address up to date, so that it can be shared at any time. Each run has its own entry in the browser's
 * history. Edits after a run go into a new entry, which becomes the entry of the next run.
 */
export class Address {
  /** @param {(state: NonNullable<ReturnType<typeof stateOf>>) => void} onReturn called when history returns to a state */
  constructor(onReturn) {
    addEventListener('popstate', () => {
      const state = stateOf(location.hash);
      if (state !== null) onReturn(state);
    });
  }

  /** The state in the current address. */
  get state() {
    return stateOf(location.hash);
  }

  /** Called when the form has changed. @param {Form} form */
  edit(form) {
    this.#keep(form, false);
  }

  /** Called when the form is run. @param {Form} form */
  run(form) {
    this.#keep(form, true);
  }

  /**
   * @param {Form} form
   * @param {boolean} ran
   */
  #keep(form, ran) {
    const url = `${location.pathname}${location.search}#${fragmentOf(form)}`;
    const same = location.href.endsWith(url);
    if (same && history.state?.ran === ran) return;
    if (history.state?.ran === true && !same) history.pushState({ ran }, '', url);
    else history.replaceState({ ran: ran || (same && history.state?.ran === true) }, '', url);
  }
}
