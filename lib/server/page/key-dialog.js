import { byId } from './dom.js';

/**
 * Asks for an API key.
 *
 * @returns {Promise<string | null>} null if the user cancels
 */
export function askForKey() {
  const dialog = /** @type {HTMLDialogElement} */ (byId('key-dialog'));
  const field = /** @type {HTMLInputElement} */ (byId('key'));
  field.value = '';
  dialog.returnValue = '';
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      'close',
      () => {
        const key = field.value.trim();
        field.value = '';
        resolve(dialog.returnValue === 'use' && key !== '' ? key : null);
      },
      { once: true },
    );
  });
}
