import { keyIsKept } from './client.js';
import { copyOnClick } from './clipboard.js';
import { commandOf, curlOf, javascriptOf } from './code.js';
import { byId } from './dom.js';
import { FormError, requestOf } from './request.js';

/**
 * @import { ServedModel } from './contract.d.ts'
 * @import { Form } from './request.js'
 */

/** What running the code requires. */
const help = /** @type {Record<string, string>} */ ({
  curl: 'The answer comes as events: start, a frame for every step, end.',
  javascript: 'In a folder in which rnd1 is installed.',
  command: 'In a checkout of rnd1.',
});

/** The present settings as code. */
export class CodePanel {
  /** @type {ServedModel | null} */
  model = null;
  #root = /** @type {HTMLDetailsElement} */ (byId('code'));
  #text = byId('code-text');

  /** @param {() => Form} form */
  constructor(form) {
    this.form = form;
    this.#root.addEventListener('toggle', () => this.update());
    this.#root.addEventListener('change', () => this.update());
    copyOnClick(byId('code-copy'), () => this.#text.textContent ?? '');
  }

  /** Shows the code of the current form. */
  update() {
    if (!this.#root.open) return;
    const chosen = /** @type {HTMLInputElement} */ (this.#root.querySelector('[name=language]:checked'))
      .value;
    try {
      const request = requestOf(this.form());
      this.#text.textContent =
        chosen === 'curl'
          ? curlOf(request, { url: new URL('.', location.href).href, key: keyIsKept() })
          : chosen === 'javascript'
            ? javascriptOf(request, this.model)
            : commandOf(request, this.model);
      byId('code-help').textContent = help[chosen] ?? '';
    } catch (error) {
      if (!(error instanceof FormError)) throw error;
      this.#text.textContent = '';
      byId('code-help').textContent = error.message;
    }
  }
}
