/**
 * @import { Form } from './request.js'
 *
 * @typedef {Partial<Omit<Form, 'entry'>>} FormState
 */

/** Fields by the names that they have in an address, for each kind of text and for all of them. */
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
 * A form as the fragment of an address, without `#`: a fragment is not sent to the server, nor kept in its logs. What is
 * no setting, such as a key, is never in it.
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
 * What a fragment says of the form; null where it says nothing. Fields that it leaves out are those that a form begins
 * with. Knows how a Sudoku looks, and nothing else of whether a value makes sense: the form tells that.
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
 * Keeps the address up to date, so that it can be shared at any time. Each run has an entry of its own in the history of
 * the browser; what is typed after it goes into another one, which becomes that of the next run.
 */
export class Address {
  /** @param {(state: NonNullable<ReturnType<typeof stateOf>>) => void} onReturn when an earlier state is back */
  constructor(onReturn) {
    addEventListener('popstate', () => {
      const state = stateOf(location.hash);
      if (state !== null) onReturn(state);
    });
  }

  /** What the address said when the page was opened. */
  get state() {
    return stateOf(location.hash);
  }

  /** The form is another now. @param {Form} form */
  edit(form) {
    this.#keep(form, false);
  }

  /** The form is run. @param {Form} form */
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
