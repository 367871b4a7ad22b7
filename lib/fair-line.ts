/** What waits in a `FairLine`. */
export interface InLine {
  readonly owner: string;
  /** What it takes of what is shared out. */
  readonly size: number;
}

/** One who waits, and when they came, counted up. */
interface Place<T> {
  readonly item: T;
  readonly arrival: number;
}

/** What is small is charged as this share of the room, for a turn costs something whatever its size. */
const leastShare = 1 / 16;

/**
 * What waits for a share of some room: next is the owner who has had least of it, and of each owner who came first. So
 * an owner's many or large items hold up another's by no more than one of them. Start-time fair queueing (Goyal, Vin
 * and Cheng, 1996), with equal weights.
 */
export class FairLine<T extends InLine> {
  /** By owner, none of them empty; of each who came first stands first. */
  readonly #lines = new Map<string, Place<T>[]>();
  /** What each owner has had while others waited. */
  readonly #had = new Map<string, number>();
  /** Where the one who was served last began: who comes new begins there. */
  #now = 0;
  #size = 0;
  #arrivals = 0;

  /** How many wait. */
  get size(): number {
    return this.#size;
  }

  /** Those who wait, owner by owner. */
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

  /** Takes those who are next and have room in `room` together, at least one where any wait. */
  take(room: number): T[] {
    const taken: T[] = [];
    let left = room;
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      if (taken.length > 0 && next.size > left) break;
      left -= next.size;
      taken.push(next);
      this.remove(next);
      this.#now = this.#start(next.owner);
      this.#had.set(next.owner, this.#now + Math.max(next.size, room * leastShare));
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
