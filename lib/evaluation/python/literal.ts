import { stringEnd } from './string-literal';
import { PythonDict, PythonSet, PythonTuple, type PythonValue } from './values';

/** Deeper literals are refused: no data set has them, and the parser is recursive. */
const depthLimit = 100;

const number = /[+-]?(?:(?:\d[\d_]*)?\.\d[\d_]*|\d[\d_]*\.?)(?:[eE][+-]?\d+)?/y;
const word = /(?:True|False|None)\b/y;
const blank = /(?:[ \t\f\r\n]|#[^\n]*|\\\r?\n)*/y;

/**
 * Reads a literal of Python as `ast.literal_eval` does: None, booleans, numbers, strings, lists, tuples, sets and
 * dictionaries of them.
 *
 * @throws SyntaxError for anything else; prefixed strings, `\N{…}`, complex and non-decimal numbers included
 */
export function parsePythonLiteral(source: string): PythonValue {
  return new LiteralParser(source).parse();
}

class LiteralParser {
  #at = 0;
  #depth = 0;

  constructor(private readonly source: string) {}

  parse(): PythonValue {
    this.#blank();
    const first = this.#value();
    this.#blank();
    const value = this.#is(',') ? new PythonTuple([first, ...this.#rest()]) : first;
    this.#blank();
    if (this.#at < this.source.length) throw this.#wrong();
    return value;
  }

  /** What follows the first item of a tuple without parentheses. */
  #rest(): PythonValue[] {
    const items: PythonValue[] = [];
    while (this.#take(',')) {
      this.#blank();
      if (this.#at === this.source.length) break;
      items.push(this.#value());
      this.#blank();
    }
    return items;
  }

  #value(): PythonValue {
    if (++this.#depth > depthLimit) throw this.#wrong('is nested too deeply');
    try {
      return this.#nested();
    } finally {
      this.#depth--;
    }
  }

  #nested(): PythonValue {
    const character = this.source[this.#at];
    if (character === "'" || character === '"') return this.#strings();
    if (character === '[') return this.#items('[', ']').items;
    if (character === '(') {
      const { items, commas } = this.#items('(', ')');
      return items.length === 1 && commas === 0 ? (items[0] as PythonValue) : new PythonTuple(items);
    }
    if (character === '{') return this.#braces();
    const name = this.#match(word);
    if (name !== null) return name === 'None' ? null : name === 'True';
    return this.#number();
  }

  #number(): PythonValue {
    const text = this.#match(number);
    if (text === null || /__|_$|_\.|\._/.test(text)) throw this.#wrong();
    // What follows would make it another kind of number.
    if (/[\w.]/.test(this.source[this.#at] ?? '')) throw this.#wrong();
    const digits = text.replaceAll('_', '');
    if (/[.eE]/.test(digits)) return Number(digits);
    if (/^[+-]?0+[1-9]/.test(digits)) throw this.#wrong();
    return digits.startsWith('-') ? -BigInt(digits.slice(1)) : BigInt(digits.replace('+', ''));
  }

  /** Adjacent strings are one. */
  #strings(): string {
    let joined = '';
    for (;;) {
      const { text, end } = stringEnd(this.source, this.#at);
      joined += text;
      this.#at = end;
      this.#blank();
      if (!this.#is("'") && !this.#is('"')) return joined;
    }
  }

  #items(open: string, close: string): { items: PythonValue[]; commas: number } {
    this.#need(open);
    const items: PythonValue[] = [];
    let commas = 0;
    for (;;) {
      this.#blank();
      if (this.#take(close)) return { items, commas };
      if (items.length > commas) throw this.#wrong();
      items.push(this.#value());
      this.#blank();
      if (this.#take(',')) commas++;
    }
  }

  #braces(): PythonValue {
    this.#need('{');
    this.#blank();
    if (this.#take('}')) return new PythonDict([]);
    const entries: [PythonValue, PythonValue][] = [];
    const members: PythonValue[] = [];
    for (;;) {
      this.#blank();
      if (entries.length + members.length > 0 && this.#take('}')) break;
      const key = this.#value();
      this.#blank();
      if (members.length === 0 && this.#take(':')) {
        this.#blank();
        entries.push([key, this.#value()]);
        this.#blank();
      } else if (entries.length === 0) members.push(key);
      else throw this.#wrong();
      if (this.#take(',')) continue;
      this.#need('}');
      break;
    }
    return entries.length > 0 ? new PythonDict(entries) : new PythonSet(members);
  }

  #match(pattern: RegExp): string | null {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.source)?.[0] ?? null;
    this.#at += found?.length ?? 0;
    return found === '' ? null : found;
  }

  #blank(): void {
    this.#match(blank);
  }

  #is(character: string): boolean {
    return this.source[this.#at] === character;
  }

  #take(character: string): boolean {
    const taken = this.#is(character);
    if (taken) this.#at++;
    return taken;
  }

  #need(character: string): void {
    if (!this.#take(character)) throw this.#wrong();
  }

  #wrong(what = 'is not a literal of Python'): SyntaxError {
    return new SyntaxError(`the text ${what} at character ${this.#at}`);
  }
}
