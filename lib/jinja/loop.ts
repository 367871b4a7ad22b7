import type { Arguments } from './arguments';
import { fail } from './errors';
import { iterate, listOf, sizeOf } from './iteration';
import { equal } from './operators';
import type { Runtime } from './runtime';
import { Callable, ObjectValue, Stream, Tuple, Undefined, type Value } from './values';

/** Runs the body of a loop for other items, and gives what it writes. */
export type Recursion = (items: Value, depth: number) => string;

/** What `loop` is inside of a loop. It looks ahead only when it is asked to. */
export class Loop extends ObjectValue {
  readonly typeName = 'LoopContext';
  /** −1 before the first round. */
  private index = -1;
  private iterator: Iterator<Value>;
  private ahead: { readonly item: Value } | null = null;
  private before: Value | undefined;
  private current: Value | undefined;
  private length: number | null = null;
  private lastChanged: Value | undefined;

  constructor(
    private readonly items: Value,
    private readonly runtime: Runtime,
    private readonly depth: number,
    private readonly recurse: Recursion | null,
  ) {
    super();
    this.iterator = iterate(items, runtime.budget);
  }

  /** The item of the next round; undefined after the last one. */
  advance(): Value | undefined {
    const next = this.peek();
    if (next === null) return undefined;
    this.ahead = null;
    this.index++;
    this.before = this.current;
    this.current = next.item;
    return next.item;
  }

  private peek(): { readonly item: Value } | null {
    if (this.ahead === null) {
      const { value, done } = this.iterator.next();
      this.ahead = done ? null : { item: value };
    }
    return this.ahead;
  }

  private count(): number {
    if (this.length === null) {
      this.length = this.items instanceof Stream ? this.countStream() : (sizeOf(this.items) ?? 0);
    }
    return this.length;
  }

  /** A stream must be read to its end, and is remembered. */
  private countStream(): number {
    const rest = listOf(new Stream(this.iterator), this.runtime.budget);
    this.iterator = rest.values();
    return rest.length + this.index + 1 + (this.ahead === null ? 0 : 1);
  }

  override attribute(name: string): Value | undefined {
    switch (name) {
      case 'index':
        return BigInt(this.index + 1);
      case 'index0':
        return BigInt(this.index);
      case 'first':
        return this.index === 0;
      case 'last':
        return this.peek() === null;
      case 'length':
        return BigInt(this.count());
      case 'revindex':
        return BigInt(this.count() - this.index);
      case 'revindex0':
        return BigInt(this.count() - this.index - 1);
      case 'depth':
        return BigInt(this.depth + 1);
      case 'depth0':
        return BigInt(this.depth);
      case 'previtem':
        return this.index > 0 ? this.before : new Undefined('there is no previous item');
      case 'nextitem':
        return this.peek()?.item ?? this.noNext();
      case 'cycle':
        return new Callable(name, (given) => this.cycle(given), 'method');
      case 'changed':
        return new Callable(name, (given) => this.changed(given), 'method');
    }
    return undefined;
  }

  private noNext(): Value {
    return this.peek() === null ? new Undefined('there is no next item') : null;
  }

  private cycle({ positional }: Arguments): Value {
    if (positional.length === 0) fail('no items for cycling given');
    return positional[this.index % positional.length] as Value;
  }

  private changed({ positional }: Arguments): boolean {
    const { lastChanged } = this;
    const now = new Tuple(positional);
    if (lastChanged !== undefined && equal(lastChanged, now, this.runtime.budget)) return false;
    this.lastChanged = now;
    return true;
  }

  /** `loop(items)`: the body once more, for items inside of an item. */
  call({ positional }: Arguments): string {
    const recurse =
      this.recurse ?? fail("The loop must have the 'recursive' marker to be called recursively.");
    const [items] = positional;
    if (items === undefined || positional.length > 1) return fail('loop takes one argument');
    return recurse(items, this.depth + 1);
  }

  override describe(): string {
    return `<LoopContext ${this.index + 1}/${this.count()}>`;
  }
}
