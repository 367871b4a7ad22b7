import type { Arguments } from './arguments';
import { fail } from './errors';
import type { Budget } from './limits';
import type { Runtime } from './runtime';

/**
 * What templates compute with. Python's values are null for None, booleans, bigint for int, number for float, strings,
 * arrays for lists, and the classes below. No other object of JavaScript ever becomes one of them.
 */
export type Value = null | boolean | bigint | number | string | Value[] | ObjectValue;

/** Values that have no counterpart in JavaScript. */
export abstract class ObjectValue {
  /** What Python calls the type. */
  abstract readonly typeName: string;

  /** An attribute of its own, without those that all values of the type have. */
  attribute(_name: string): Value | undefined {
    return undefined;
  }

  /** How it prints, for those that have no literals. */
  describe(): string {
    return `<${this.typeName} object>`;
  }
}

export class Tuple extends ObjectValue {
  readonly typeName = 'tuple';
  constructor(readonly items: readonly Value[]) {
    super();
  }
}

/** Text that the filter `safe` or `escape` has marked: joined with others it escapes them. */
export class Markup extends ObjectValue {
  readonly typeName = 'Markup';
  constructor(readonly text: string) {
    super();
  }
}

export class Dict extends ObjectValue {
  readonly typeName = 'dict';
  private readonly entries = new Map<string, [Value, Value]>();

  constructor(pairs: Iterable<readonly [Value, Value]>, budget: Budget) {
    super();
    for (const [key, value] of pairs) this.set(key, value, budget);
  }

  private set(key: Value, value: Value, budget: Budget): void {
    const hash = hashOf(key, budget);
    const entry = this.entries.get(hash);
    if (entry === undefined) this.entries.set(hash, [key, value]);
    else entry[1] = value;
  }

  get size(): number {
    return this.entries.size;
  }

  /** Throws for keys that cannot be hashed, as Python does. */
  get(key: Value, budget: Budget): Value | undefined {
    return this.entries.get(hashOf(key, budget))?.[1];
  }

  *pairs(): IterableIterator<readonly [Value, Value]> {
    yield* this.entries.values();
  }

  keys(): Value[] {
    return [...this.entries.values()].map(([key]) => key);
  }

  values(): Value[] {
    return [...this.entries.values()].map(([, value]) => value);
  }

  items(): Tuple[] {
    return [...this.entries.values()].map(([key, value]) => new Tuple([key, value]));
  }
}

export class DictView extends ObjectValue {
  readonly typeName: string;
  constructor(
    readonly dict: Dict,
    readonly of: 'keys' | 'values' | 'items',
  ) {
    super();
    this.typeName = `dict_${of}`;
  }

  list(): Value[] {
    return this.dict[this.of]();
  }
}

export class Range extends ObjectValue {
  readonly typeName = 'range';
  readonly length: number;

  constructor(
    readonly start: bigint,
    readonly stop: bigint,
    readonly step: bigint,
  ) {
    super();
    const span = step > 0n ? stop - start : start - stop;
    const size = step > 0n ? step : -step;
    this.length = span <= 0n ? 0 : Number((span + size - 1n) / size);
  }

  at(index: number): bigint {
    return this.start + BigInt(index) * this.step;
  }

  *items(): IterableIterator<bigint> {
    for (let i = 0; i < this.length; i++) yield this.at(i);
  }
}

/** An iterator, which gives its values once. */
export class Stream extends ObjectValue {
  constructor(
    readonly items: Iterator<Value>,
    readonly typeName = 'generator',
  ) {
    super();
  }
}

/** jinja2's default `Undefined`: prints as nothing, is false and empty, and refuses everything else. */
export class Undefined extends ObjectValue {
  readonly typeName = 'Undefined';
  constructor(readonly message: string) {
    super();
  }

  raise(): never {
    fail(this.message);
  }
}

export class Callable extends ObjectValue {
  constructor(
    readonly name: string,
    readonly call: (given: Arguments, runtime: Runtime) => Value,
    readonly typeName = 'builtin_function_or_method',
    private readonly attributes: ReadonlyMap<string, Value> = new Map(),
  ) {
    super();
  }

  override attribute(name: string): Value | undefined {
    return this.attributes.get(name);
  }

  override describe(): string {
    return `<${this.typeName} ${this.typeName === 'Macro' ? `'${this.name}'` : this.name}>`;
  }
}

/** The one kind of values that templates can change. */
export class Namespace extends ObjectValue {
  readonly typeName = 'Namespace';
  constructor(readonly members: Map<string, Value>) {
    super();
  }

  override attribute(name: string): Value | undefined {
    return this.members.get(name);
  }
}

/** `a:b:c` in square brackets. */
export class SliceValue extends ObjectValue {
  readonly typeName = 'slice';
  constructor(
    readonly start: Value,
    readonly stop: Value,
    readonly step: Value,
  ) {
    super();
  }
}

export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (Array.isArray(value)) return 'list';
  if (value instanceof ObjectValue) return value.typeName;
  switch (typeof value) {
    case 'boolean':
      return 'bool';
    case 'bigint':
      return 'int';
    case 'number':
      return 'float';
    default:
      return 'str';
  }
}

/** The text of strings, marked ones too; undefined for all else. */
export function textOf(value: Value): string | undefined {
  if (typeof value === 'string') return value;
  return value instanceof Markup ? value.text : undefined;
}

/** The integer that a value is, booleans included; undefined for all else. */
export function integerOf(value: Value): bigint | undefined {
  if (typeof value === 'boolean') return value ? 1n : 0n;
  return typeof value === 'bigint' ? value : undefined;
}

let identities = new WeakMap<ObjectValue, number>();
let nextIdentity = 0;

function identityOf(value: ObjectValue): number {
  let identity = identities.get(value);
  if (identity === undefined) {
    // Numbers that stay exact; a new map begins when they would not.
    if (nextIdentity >= Number.MAX_SAFE_INTEGER) identities = new WeakMap();
    identity = nextIdentity++;
    identities.set(value, identity);
  }
  return identity;
}

/** A string that is the same for keys which Python takes for the same. Throws for lists and dicts. */
export function hashOf(value: Value, budget: Budget): string {
  const text = textOf(value);
  if (text !== undefined) {
    budget.spendText(text.length);
    return `s${text}`;
  }
  if (value === null) return 'none';
  if (typeof value === 'number') return Number.isInteger(value) ? `n${BigInt(value)}` : `n${value}`;
  const integer = integerOf(value);
  if (integer !== undefined) return `n${integer}`;
  if (value instanceof Tuple) {
    const hash = budget.nested(() => JSON.stringify(value.items.map((item) => hashOf(item, budget))));
    budget.spendText(hash.length);
    return `t${hash}`;
  }
  if (value instanceof Undefined) return 'u';
  if (Array.isArray(value) || value instanceof Dict || value instanceof DictView) {
    return fail(`unhashable type: '${typeName(value)}'`);
  }
  return `o${identityOf(value as ObjectValue)}`;
}
