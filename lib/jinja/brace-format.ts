import { attributeOf, itemOf } from './access';
import type { Arguments } from './arguments';
import { fail } from './errors';
import { formatValue } from './format-spec';
import type { Runtime } from './runtime';
import { ascii, repr, str } from './text';
import type { Value } from './values';

/** How deeply the specification of a field may hold fields. */
const maxDepth = 2;

/** `text.format(…)` as Python's sandbox does it: attributes and items are those that templates may see. */
export function formatBraces(text: string, given: Arguments, runtime: Runtime): string {
  return new Formatter(given, runtime).format(text, maxDepth);
}

class Formatter {
  /** The number of the next field without one; null once fields have numbers. */
  private automatic: number | null = 0;

  constructor(
    private readonly given: Arguments,
    private readonly runtime: Runtime,
  ) {}

  format(text: string, depth: number): string {
    if (depth < 0) fail('Max string recursion exceeded');
    const { budget } = this.runtime;
    const parts: string[] = [];
    let length = 0;
    const add = (part: string) => {
      length += part.length;
      if (length > budget.limits.textLength) budget.spendText(length);
      parts.push(part);
    };
    for (let at = 0; at < text.length; ) {
      budget.spend(1);
      const brace = text.slice(at).search(/[{}]/);
      if (brace < 0) {
        add(text.slice(at));
        break;
      }
      add(text.slice(at, at + brace));
      at += brace;
      const mark = text[at] as string;
      if (text[at + 1] === mark) {
        add(mark);
        at += 2;
      } else if (mark === '}') {
        fail("Single '}' encountered in format string");
      } else {
        const end = fieldEnd(text, at + 1);
        add(this.field(text.slice(at + 1, end), depth));
        at = end + 1;
      }
    }
    budget.spendText(length);
    return parts.join('');
  }

  private field(field: string, depth: number): string {
    const end = nameEnd(field);
    const tail = field.slice(end);
    let conversion: string | undefined;
    let spec = '';
    if (tail.startsWith('!')) {
      conversion = tail[1] ?? '';
      if (tail.length > 2 && tail[2] !== ':') fail("expected ':' after conversion specifier");
      spec = tail.slice(3);
    } else spec = tail.slice(1);
    const value = this.convert(this.lookUp(field.slice(0, end)), conversion);
    return formatValue(value, this.format(spec, depth - 1), this.runtime.budget);
  }

  private convert(value: Value, conversion: string | undefined): Value {
    const { budget } = this.runtime;
    switch (conversion) {
      case undefined:
        return value;
      case 's':
        return str(value, budget);
      case 'r':
        return repr(value, budget);
      case 'a':
        return ascii(value, budget);
      default:
        return fail(`Unknown conversion specifier '${conversion}'`);
    }
  }

  /** `name`, `0`, or nothing, followed by `.attribute` and `[key]`. */
  private lookUp(path: string): Value {
    const [first = ''] = /^[^.[]*/.exec(path) ?? [];
    // Python counts only fields without a name.
    if (first === '' && path !== '') fail('an attribute in a format string needs the name of a field');
    let value = this.argument(first);
    let rest = path.slice(first.length);
    while (rest !== '') {
      const step = /^(?:\.([^.[]+)|\[([^\]]+)\])/.exec(rest) ?? fail('Empty attribute in format string');
      const [whole, attribute, key = ''] = step;
      value =
        attribute === undefined
          ? itemOf(value, /^\d+$/.test(key) ? BigInt(key) : key, this.runtime)
          : attributeOf(value, attribute, this.runtime);
      rest = rest.slice(whole.length);
    }
    return value;
  }

  private argument(name: string): Value {
    if (name !== '' && !/^\d+$/.test(name)) {
      return (
        this.given.named.get(name) ??
        this.absent(this.given.named.has(name), `there is no argument '${name}'`)
      );
    }
    let index = Number(name);
    if (name === '') {
      if (this.automatic === null)
        return fail('cannot switch from manual field specification to automatic field numbering');
      index = this.automatic++;
    } else {
      if (this.automatic !== null && this.automatic > 0) {
        fail('cannot switch from manual field specification to automatic field numbering');
      }
      this.automatic = null;
    }
    const { positional } = this.given;
    return positional[index] ?? this.absent(index < positional.length, `there is no argument ${index}`);
  }

  /** None is there, too. */
  private absent(isNone: boolean, message: string): Value {
    return isNone ? null : fail(message);
  }
}

/** Where the name of a field ends: at a `!` or `:` outside of square brackets. */
function nameEnd(field: string): number {
  let inBrackets = false;
  for (let at = 0; at < field.length; at++) {
    const character = field[at];
    if (inBrackets) inBrackets = character !== ']';
    else if (character === '[') inBrackets = true;
    else if (character === '!' || character === ':') return at;
  }
  return field.length;
}

/** Where the brace stands that closes a field. */
function fieldEnd(text: string, start: number): number {
  let depth = 1;
  for (let at = start; at < text.length; at++) {
    if (text[at] === '{') depth++;
    else if (text[at] === '}' && --depth === 0) return at;
  }
  return fail("expected '}' before end of string");
}
