/** What waits, owner by owner: each owner's in order, and after one of theirs it is the next owner's turn. */
export class Turns<T> {
  /** The first owner is next. */
  readonly #waiting = new Map<string, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(owner: string, item: T): void {
    const items = this.#waiting.get(owner);
    if (items === undefined) this.#waiting.set(owner, [item]);
    else items.push(item);
    this.#size++;
  }

  /** Takes what is next; undefined where nothing waits. */
  next(): T | undefined {
    for (const [owner, items] of this.#waiting) {
      const item = items.shift() as T;
      this.#waiting.delete(owner);
      if (items.length > 0) this.#waiting.set(owner, items);
      this.#size--;
      return item;
    }
    return undefined;
  }

  remove(owner: string, item: T): void {
    const items = this.#waiting.get(owner) ?? [];
    const index = items.indexOf(item);
    if (index === -1) return;
    items.splice(index, 1);
    if (items.length === 0) this.#waiting.delete(owner);
    this.#size--;
  }
}
