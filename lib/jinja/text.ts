import type { Budget } from './limits';
import { floatText, integerText } from './numbers';
import { compareText, isPrintable } from './unicode';
import {
  Dict,
  DictView,
  integerOf,
  Namespace,
  type ObjectValue,
  Range,
  SliceValue,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from './values';

/** `str(value)` */
export function str(value: Value, budget: Budget): string {
  const text = textOf(value);
  if (text !== undefined) return text;
  return value instanceof Undefined ? '' : repr(value, budget);
}

/** `repr(value)` */
export function repr(value: Value, budget: Budget): string {
  const writer = new Writer(budget);
  writer.write(value);
  return writer.text();
}

/** `pprint.pformat(value)` of what fits a line: keys are sorted. */
export function sortedRepr(value: Value, budget: Budget): string {
  const writer = new Writer(budget, true);
  writer.write(value);
  return writer.text();
}

/** Keys of one type by their order, others by the names of their types. */
function compareKeys(a: Value, b: Value): number {
  const [left, right] = [textOf(a), textOf(b)];
  if (left !== undefined && right !== undefined) return compareText(left, right);
  const [first, second] = [integerOf(a), integerOf(b)];
  if (first !== undefined && second !== undefined) return first < second ? -1 : Number(first > second);
  return compareText(typeName(a), typeName(b));
}

class Writer {
  private readonly parts: string[] = [];
  private length = 0;

  constructor(
    private readonly budget: Budget,
    private readonly sortsKeys = false,
  ) {}

  text(): string {
    this.budget.spendText(this.length);
    return this.parts.join('');
  }

  private add(part: string): void {
    this.length += part.length;
    if (this.length > this.budget.limits.textLength) this.budget.spendText(this.length);
    this.parts.push(part);
  }

  private list(open: string, items: Iterable<Value>, close: string): void {
    this.add(open);
    let separator = '';
    for (const item of items) {
      this.add(separator);
      this.write(item);
      separator = ', ';
    }
    this.add(close);
  }

  private pairs(open: string, pairs: Iterable<readonly [Value, Value]>, close: string): void {
    this.add(open);
    let separator = '';
    const shown = this.sortsKeys ? [...pairs].sort(([a], [b]) => compareKeys(a, b)) : pairs;
    for (const [key, value] of shown) {
      this.add(separator);
      this.write(key);
      this.add(': ');
      this.write(value);
      separator = ', ';
    }
    this.add(close);
  }

  write(value: Value): void {
    this.budget.enter();
    if (value === null) this.add('None');
    else if (typeof value === 'boolean') this.add(value ? 'True' : 'False');
    else if (typeof value === 'bigint') this.add(integerText(value));
    else if (typeof value === 'number') this.add(floatText(value));
    else if (typeof value === 'string') this.add(this.quoted(value));
    else if (Array.isArray(value)) this.list('[', value, ']');
    else this.object(value);
    this.budget.leave();
  }

  private quoted(text: string): string {
    this.budget.spendText(text.length);
    return quoted(text);
  }

  private object(value: ObjectValue): void {
    if (value instanceof Tuple) this.list('(', value.items, value.items.length === 1 ? ',)' : ')');
    else if (value instanceof Dict) this.pairs('{', value.pairs(), '}');
    else if (value instanceof DictView) this.list(`${value.typeName}([`, value.list(), '])');
    else if (value instanceof Namespace) this.pairs('<Namespace {', value.members, '}>');
    else if (value instanceof SliceValue) this.list('slice(', [value.start, value.stop, value.step], ')');
    else if (value instanceof Undefined) this.add('Undefined');
    else if (value instanceof Range) {
      const { start, stop, step } = value;
      this.add(`range(${start}, ${stop}${step === 1n ? '' : `, ${step}`})`);
    } else {
      const text = textOf(value);
      this.add(text === undefined ? value.describe() : `Markup(${this.quoted(text)})`);
    }
  }
}

const shortEscapes: ReadonlyMap<string, string> = new Map([
  ['\\', '\\\\'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
]);

/** A string as Python quotes it. */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inside = text.replace(/[^\x20-\x7e]|[\\'"]/gu, (character) => {
    if (character === quote) return `\\${character}`;
    return shortEscapes.get(character) ?? (isPrintable(character) ? character : escaped(character));
  });
  return `${quote}${inside}${quote}`;
}

/** `\x07`, `\u200b` or `\U000e0001` */
export function escaped(character: string): string {
  const code = character.codePointAt(0) as number;
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, '0')}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}

/** `ascii(value)` */
export function ascii(value: Value, budget: Budget): string {
  const text = repr(value, budget);
  budget.spendText(text.length * 6);
  return text.replace(/[^\0-\x7f]/gu, escaped);
}
