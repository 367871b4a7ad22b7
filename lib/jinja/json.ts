import { type Arguments, bind } from './arguments';
import { fail } from './errors';
import type { Budget } from './limits';
import { floatText, integerText } from './numbers';
import { isLess, truth } from './operators';
import { countArgument, textArgument } from './parameters';
import { Dict, integerOf, Tuple, textOf, typeName, type Value } from './values';

interface Style {
  readonly ascii: boolean;
  /** What one level is indented by; null: everything in one line. */
  readonly indent: string | null;
  readonly itemSeparator: string;
  readonly keySeparator: string;
  readonly sorted: boolean;
}

/** The filter `tojson` as transformers defines it: `json.dumps` that keeps other alphabets and HTML as they are. */
export function toJson(value: Value, given: Arguments, budget: Budget): string {
  const [ascii, indent, separators, sorted] = bind(
    'tojson',
    given,
    'ensure_ascii? indent? separators? sort_keys?',
  );
  const level = indentOf(indent ?? null, budget);
  const style: Style = {
    ascii: truth(ascii ?? false),
    indent: level,
    ...separatorsOf(separators ?? null, level),
    sorted: truth(sorted ?? false),
  };
  return new Writer(style, budget).run(value);
}

function indentOf(value: Value, budget: Budget): string | null {
  if (value === null) return null;
  const text = textOf(value);
  if (text !== undefined) return text;
  const width = Math.max(0, countArgument(value, 0));
  budget.spendText(width);
  return ' '.repeat(width);
}

function separatorsOf(value: Value, indent: string | null): Pick<Style, 'itemSeparator' | 'keySeparator'> {
  if (value === null) return { itemSeparator: indent === null ? ', ' : ',', keySeparator: ': ' };
  const items = value instanceof Tuple ? value.items : value;
  if (!Array.isArray(items) || items.length !== 2) return fail('separators must be two strings');
  const [item, key] = items as readonly Value[];
  return { itemSeparator: textArgument(item, 'a separator'), keySeparator: textArgument(key, 'a separator') };
}

class Writer {
  private readonly parts: string[] = [];
  private length = 0;
  private level = 0;

  constructor(
    private readonly style: Style,
    private readonly budget: Budget,
  ) {}

  run(value: Value): string {
    this.write(value);
    this.budget.spendText(this.length);
    return this.parts.join('');
  }

  private add(part: string): void {
    this.length += part.length;
    if (this.length > this.budget.limits.textLength) this.budget.spendText(this.length);
    this.parts.push(part);
  }

  private write(value: Value): void {
    this.budget.enter();
    const text = textOf(value);
    if (text !== undefined) this.add(this.quoted(text));
    else if (value instanceof Dict) this.object(value);
    else if (Array.isArray(value)) this.array(value);
    else if (value instanceof Tuple) this.array(value.items);
    else this.add(scalar(value) ?? fail(`Object of type ${typeName(value)} is not JSON serializable`));
    this.budget.leave();
  }

  private quoted(text: string): string {
    this.budget.spendText(text.length * 2);
    return quoted(text, this.style.ascii);
  }

  private array(items: readonly Value[]): void {
    this.block('[', items.length, ']', (i) => this.write(items[i] as Value));
  }

  private object(dict: Dict): void {
    const pairs = [...dict.pairs()];
    this.budget.spend(pairs.length);
    if (this.style.sorted)
      pairs.sort(([a], [b]) => (isLess(a, b, this.budget) ? -1 : isLess(b, a, this.budget) ? 1 : 0));
    this.block('{', pairs.length, '}', (i) => {
      const [key, value] = pairs[i] as readonly [Value, Value];
      const name = textOf(key) ?? scalar(key);
      this.add(this.quoted(name ?? fail(`keys must be str, int, float, bool or None, not ${typeName(key)}`)));
      this.add(this.style.keySeparator);
      this.write(value);
    });
  }

  private block(open: string, count: number, close: string, write: (i: number) => void): void {
    this.add(open);
    if (count > 0) this.lines(count, write);
    this.add(close);
  }

  private lines(count: number, write: (i: number) => void): void {
    this.level++;
    for (let i = 0; i < count; i++) {
      if (i > 0) this.add(this.style.itemSeparator);
      this.newLine();
      write(i);
    }
    this.level--;
    this.newLine();
  }

  private newLine(): void {
    const { indent } = this.style;
    if (indent === null) return;
    this.budget.spendText(this.length + indent.length * this.level);
    this.add(`\n${indent.repeat(this.level)}`);
  }
}

/** None, booleans and numbers; undefined for all else. */
function scalar(value: Value): string | undefined {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (typeof value === 'number') return floatText(value).replace('inf', 'Infinity').replace('nan', 'NaN');
  const integer = integerOf(value);
  return integer === undefined ? undefined : integerText(integer);
}

const shortEscapes: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\b', '\\b'],
  ['\f', '\\f'],
]);

function quoted(text: string, ascii: boolean): string {
  // Without the flag u: halves of characters are escaped one by one.
  const inside = text.replace(ascii ? /["\\]|[^\x20-\x7e]/g : /["\\]|[^\x20-\uffff]/g, (unit) => {
    return shortEscapes.get(unit) ?? `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
  return `"${inside}"`;
}
