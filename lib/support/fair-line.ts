/** An item that waits in a `FairLine`. */
export interface InLine {
  readonly owner: string;
  /** How much of the room it takes. */
  readonly size: number;
}

/** A waiting item and its number in order of arrival. */
interface Place<T> {
  readonly item: T;
  readonly arrival: number;
}

/** Minimum charge of an item as a share of the room, because a turn has a cost whatever its size. */
const minShare = 1 / 16;

/**
 * A queue for shares of a limited room: the owner who has had the least is next, and each owner's items are served in
 * order of arrival. So an owner's many or large items delay those of another by at most one of them. Start-time fair
 * queueing (Goyal, Vin and Cheng, 1996), with equal weights.
 */
export class FairLine<T extends InLine> {
  /** Waiting items by owner, in order of arrival; no list is empty. */
  readonly #lines = new Map<string, Place<T>[]>();
  /** How much each owner has had while others waited (the finish tag of its last item). */
  readonly #had = new Map<string, number>();
  /** Start tag of the item served last; new owners start there. */
  #now = 0;
  #size = 0;
  #arrivals = 0;

  /** Number of waiting items. */
  get size(): number {
    return this.#size;
  }

  /** The waiting items, owner by owner. */
  get items(): readonly T[] {
    return [...this.#lines.values()].flatMap((line) => line.map(({ item }) => item));
  }

  add(item: T): void {
    const place = { item, arrival: this.#arrivals++ };
    const line = this.#lines.get(item.owner);
    if (line === undefined) this.#lines.set(item.owner, [place]);
    else line.push(place);
    this.#size++;
  }

  remove(item: T): void {
    const line = this.#lines.get(item.owner) ?? [];
    const index = line.findIndex((place) => place.item === item);
    if (index === -1) return;
    line.splice(index, 1);
    if (line.length === 0) this.#lines.delete(item.owner);
    this.#size--;
  }

  /**
   * Removes and returns the next items that fit into `room` together, at least one if any wait. The first one that does
   * not go with those before it waits for the next turn, as do all behind it.
   */
  take(room: number, together: (first: T, next: T) => boolean = () => true): T[] {
    const taken: T[] = [];
    let left = room;
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const [first] = taken;
      if (first !== undefined && (next.size > left || !together(first, next))) break;
      left -= next.size;
      taken.push(next);
      this.remove(next);
      this.#now = this.#start(next.owner);
      this.#had.set(next.owner, this.#now + Math.max(next.size, room * minShare));
    }
    if (this.#size === 0) this.#had.clear();
    return taken;
  }

  #start(owner: string): number {
    return Math.max(this.#now, this.#had.get(owner) ?? 0);
  }

  #next(): T | undefined {
    let best: { readonly place: Place<T>; readonly start: number } | undefined;
    for (const [owner, line] of this.#lines) {
      const place = line[0] as Place<T>;
      const start = this.#start(owner);
      const before = best === undefined ? -1 : start - best.start || place.arrival - best.place.arrival;
      if (before < 0) best = { place, start };
    }
    return best?.place.item;
  }
}
