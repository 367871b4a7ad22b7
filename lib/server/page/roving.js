/**
 * Makes a set of elements one stop of the Tab key: arrow keys, Home and End move among them, and so do pointers. The
 * selected element is the active descendant of the root, so that a screen reader reads its label.
 */
export class Roving {
  /** @type {readonly HTMLElement[]} */
  #items = [];
  #active = -1;
  #limit = 0;

  /**
   * @param {HTMLElement} root
   * @param {(index: number | null) => void} onPoint
   * @param {(key: string, index: number) => number} move index to which a key moves; the same index for none
   */
  constructor(root, onPoint, move) {
    this.root = root;
    this.onPoint = onPoint;
    this.move = move;
    root.addEventListener('keydown', (event) => this.#key(event));
    root.addEventListener('pointerover', (event) => this.#pointer(event.target));
    root.addEventListener('click', (event) => this.#pointer(event.target));
    root.addEventListener('pointerleave', () => this.point(null));
    root.addEventListener('focus', () => {
      if (this.#items.length > 0 && root.matches(':focus-visible')) this.point(Math.max(0, this.#active));
    });
    root.addEventListener('blur', () => this.point(null));
  }

  /** @param {readonly HTMLElement[]} items in order; an empty list removes the root from the tab order */
  use(items) {
    this.point(null);
    this.#items = items;
    this.#active = -1;
    this.#limit = items.length;
    if (items.length > 0) this.root.tabIndex = 0;
    else this.root.removeAttribute('tabindex');
  }

  /** Removes all items after the first ones. @param {number} count of items that stay */
  limit(count) {
    this.#limit = count;
    if (this.#active >= count) {
      this.point(null);
      this.#active = count - 1;
    }
  }

  /** @param {number | null} index */
  point(index) {
    const before = this.root.querySelector('[data-active]');
    before?.removeAttribute('data-active');
    before?.setAttribute('aria-selected', 'false');
    const item = index === null ? undefined : this.#items[index];
    if (item === undefined || index === null) {
      this.root.removeAttribute('aria-activedescendant');
      this.onPoint(null);
      return;
    }
    this.#active = index;
    item.dataset.active = '';
    item.ariaSelected = 'true';
    this.root.setAttribute('aria-activedescendant', item.id);
    this.onPoint(index);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const last = Math.min(this.#limit, this.#items.length) - 1;
    if (last < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = Math.max(0, this.#active);
    const to = event.key === 'Home' ? 0 : event.key === 'End' ? last : this.move(event.key, at);
    if (to === at && event.key !== 'Home' && event.key !== 'End') return;
    event.preventDefault();
    this.point(Math.min(last, Math.max(0, to)));
    this.#items[this.#active]?.scrollIntoView({ block: 'nearest' });
  }

  /** @param {EventTarget | null} target */
  #pointer(target) {
    const index = this.#items.findIndex((item) => target instanceof Node && item.contains(target));
    if (index !== -1) this.point(index);
  }
}
