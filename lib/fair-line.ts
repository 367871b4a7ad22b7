/** What waits in a `FairLine`. */
export interface InLine {
  readonly owner: string;
  /** What it takes of what is shared out. */
  readonly size: number;
}

/** What is small is charged as this share of the room, for a turn costs something whatever its size. */
const leastShare = 1 / 16;

/**
 * What waits for a share of some room: next is the owner who has had least of it, and of each owner who came first. So
 * an owner's many or large items hold up another's by no more than one of them. Start-time fair queueing (Goyal, Vin
 * and Cheng, 1996), with equal weights.
 */
export class FairLine<T extends InLine> {
  /** Who came first stands first. */
  #waiting: T[] = [];
  /** What each owner has had while others waited. */
  readonly #had = new Map<string, number>();
  /** Where the one who was served last began: who comes new begins there. */
  #now = 0;

  get items(): readonly T[] {
    return this.#waiting;
  }

  add(item: T): void {
    this.#waiting.push(item);
  }

  remove(item: T): void {
    this.#waiting = this.#waiting.filter((other) => other !== item);
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
      this.#now = this.#start(next);
      this.#had.set(next.owner, this.#now + Math.max(next.size, room * leastShare));
    }
    if (this.#waiting.length === 0) this.#had.clear();
    return taken;
  }

  #start({ owner }: T): number {
    return Math.max(this.#now, this.#had.get(owner) ?? 0);
  }

  #next(): T | undefined {
    let best: T | undefined;
    for (const item of this.#waiting)
      if (best === undefined || this.#start(item) < this.#start(best)) best = item;
    return best;
  }
}
