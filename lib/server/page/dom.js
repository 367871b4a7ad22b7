/**
 * The element with this id. Throws an error with the id if it is missing.
 *
 * @template {Element} [T=HTMLElement]
 * @param {string} id
 * @returns {T}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`the page has no #${id}`);
  return /** @type {T} */ (/** @type {unknown} */ (element));
}

/**
 * A new element with properties, and text or children inside.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Record<string, unknown>} [properties]
 * @param {(string | Node)[]} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function create(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** Whether the reader asked for less motion. */
export const reducedMotion = () => matchMedia('(prefers-reduced-motion: reduce)').matches;

/** Scrolls an element into view: on a narrow screen the canvas is below the form. @param {HTMLElement} element */
export function lookAt(element) {
  const { top } = element.getBoundingClientRect();
  if (top < innerHeight * 0.4) return;
  element.scrollIntoView({ block: 'start', behavior: reducedMotion() ? 'auto' : 'smooth' });
}

/** Shows either the run or the stop button, which takes over the focus of the other one. @param {boolean} on */
export function showRunning(on) {
  const [there, gone] = on ? [byId('stop'), byId('run')] : [byId('run'), byId('stop')];
  const focused = document.activeElement === gone;
  there.hidden = false;
  gone.hidden = true;
  // Moving the focus must not scroll the page.
  if (focused) there.focus({ preventScroll: true });
  document.body.classList.toggle('running', on);
}
