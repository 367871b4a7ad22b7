import { create } from './dom.js';

/**
 * Lets the browser save a text as a file.
 *
 * @param {string} text
 * @param {string} name
 * @param {string} type
 */
export function saveText(text, name, type) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = create('a', { href: url, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  // By then, the download has started.
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
