import { announce } from './details.js';
import { create } from './dom.js';

/**
 * Copies a text, even if the page was loaded by plain http from another machine, where the Clipboard API is not
 * available.
 *
 * @param {string} text
 * @returns {Promise<boolean>} whether it worked
 */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const before = document.activeElement;
    const area = create('textarea', { value: text, className: 'unseen' });
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    if (before instanceof HTMLElement) before.focus();
    return done;
  }
}

/**
 * Makes a button copy a text and briefly confirm it.
 *
 * @param {HTMLElement} button
 * @param {() => string} text
 */
export function copyOnClick(button, text) {
  const label = button.textContent;
  button.addEventListener('click', async () => {
    button.textContent = (await copyText(text())) ? 'Copied' : 'Could not copy';
    announce(button.textContent);
    setTimeout(() => {
      button.textContent = label;
    }, 2000);
  });
}
