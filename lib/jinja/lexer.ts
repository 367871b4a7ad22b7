import { TemplateError } from './errors';
import { escaped } from './text';
import { countNewlines, spaces, trimEnd } from './unicode';

export type TokenKind =
  | 'text'
  | 'print-begin'
  | 'print-end'
  | 'block-begin'
  | 'block-end'
  | 'name'
  | 'string'
  | 'integer'
  | 'float'
  | 'operator'
  | 'end';

export interface Token {
  readonly kind: TokenKind;
  readonly value: string;
  readonly line: number;
}

const rawBegin = new RegExp(`\\{%[-+]?[${spaces}]*raw[${spaces}]*(?:-%\\}[${spaces}]*|%\\})`, 'y');
const rawEnd = new RegExp(
  `\\{%([-+]?)[${spaces}]*endraw[${spaces}]*(?:\\+%\\}|-%\\}[${spaces}]*|%\\}\\n?)`,
  'y',
);
const blockEnd = new RegExp(`\\+%\\}|-%\\}[${spaces}]*|%\\}\\n?`, 'y');
const printEnd = new RegExp(`-\\}\\}[${spaces}]*|\\}\\}`, 'y');
const commentEnd = /[-+]?#\}/g;
const spaceRun = new RegExp(`[${spaces}]+`, 'y');

const tokens: readonly (readonly [TokenKind, RegExp])[] = [
  ['float', /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/iy],
  ['integer', /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy],
  ['name', /[\p{L}\p{N}_]+/uy],
  ['string', /'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*"/sy],
  ['operator', /\*\*|\/\/|[=!<>]=|[-+/*%~[\](){}<>=.:|,;]/y],
];

const closing: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

function match(pattern: RegExp, source: string, position: number): string | null {
  pattern.lastIndex = position;
  return pattern.exec(source)?.[0] ?? null;
}

/** Cuts a template into tokens as jinja2 does with `trim_blocks` and `lstrip_blocks`. */
export function tokenize(template: string): Token[] {
  return new Lexer(template.replace(/\r\n|\r/g, '\n').replace(/\n$/, '')).run();
}

class Lexer {
  private readonly tokens: Token[] = [];
  private position = 0;
  private line = 1;
  /** Whether a line of the template begins here. */
  private lineStarts = true;

  constructor(private readonly source: string) {}

  run(): Token[] {
    const { source } = this;
    for (;;) {
      const begin = this.nextTag();
      if (begin < 0) break;
      const mark = source[begin + 1] as string;
      const sign = /[-+]/.exec(source[begin + 2] ?? '')?.[0] ?? '';
      this.text(source.slice(this.position, begin), sign, mark !== '{');
      this.position = begin;
      const raw = mark === '%' ? match(rawBegin, source, begin) : null;
      if (raw !== null) this.raw(raw);
      else if (mark === '#') this.comment(2 + sign.length);
      else this.tag(mark === '%' ? 'block' : 'print', 2 + sign.length);
    }
    this.push('text', source.slice(this.position));
    this.line += countNewlines(source.slice(this.position));
    this.push('end', '');
    return this.tokens;
  }

  /** Where the next `{%`, `{{` or `{#` stands, or −1. */
  private nextTag(): number {
    let begin = this.source.indexOf('{', this.position);
    while (begin >= 0 && !/[%{#]/.test(this.source[begin + 1] ?? '')) {
      begin = this.source.indexOf('{', begin + 1);
    }
    return begin;
  }

  private push(kind: TokenKind, value: string): void {
    if (kind !== 'text' || value !== '') this.tokens.push({ kind, value, line: this.line });
  }

  private advance(text: string): void {
    this.position += text.length;
    this.line += countNewlines(text);
    this.lineStarts = text.endsWith('\n');
  }

  /** Text before a tag. `strips`: white space between the start of the line and this tag goes away. */
  private text(text: string, sign: string, strips: boolean): void {
    let kept = text;
    if (sign === '-') kept = trimEnd(text);
    else if (sign !== '+' && strips) {
      const lineStart = text.lastIndexOf('\n') + 1;
      const blank = match(spaceRun, text, lineStart)?.length === text.length - lineStart;
      if (blank && (lineStart > 0 || this.lineStarts)) kept = text.slice(0, lineStart);
    }
    this.push('text', kept);
    this.line += countNewlines(text);
  }

  private raw(opening: string): void {
    const { line } = this;
    this.advance(opening);
    if (this.position >= this.source.length) return;
    let end = this.source.indexOf('{%', this.position);
    while (end >= 0) {
      const found = match(rawEnd, this.source, end);
      if (found !== null) {
        this.text(this.source.slice(this.position, end), /^\{%([-+]?)/.exec(found)?.[1] ?? '', true);
        this.position = end;
        this.advance(found);
        return;
      }
      end = this.source.indexOf('{%', end + 1);
    }
    throw new TemplateError('a raw block has no end', 'syntax', line);
  }

  private comment(opening: number): void {
    // With nothing behind it, jinja2 takes an opening for a comment or a raw block as it is.
    const start = this.position + opening;
    commentEnd.lastIndex = start;
    const found = commentEnd.exec(this.source);
    if (start >= this.source.length) {
      this.position = start;
      return;
    }
    if (found === null) throw new TemplateError('a comment has no end', 'syntax', this.line);
    let end = found.index + found[0].length;
    if (found[0][0] === '-') end += match(spaceRun, this.source, end)?.length ?? 0;
    else if (found[0][0] === '#' && this.source[end] === '\n') end++;
    this.advance(this.source.slice(this.position, end));
  }

  private tag(kind: 'block' | 'print', opening: number): void {
    this.push(`${kind}-begin`, '');
    this.advance(this.source.slice(this.position, this.position + opening));
    const brackets: string[] = [];
    const end = kind === 'block' ? blockEnd : printEnd;
    while (this.position < this.source.length) {
      const closed = brackets.length === 0 ? match(end, this.source, this.position) : null;
      if (closed !== null) {
        this.push(`${kind}-end`, '');
        this.advance(closed);
        return;
      }
      const space = match(spaceRun, this.source, this.position);
      if (space !== null) this.advance(space);
      else this.token(brackets);
    }
    throw new TemplateError('a tag has no end', 'syntax', this.line);
  }

  private token(brackets: string[]): void {
    for (const [kind, pattern] of tokens) {
      const text = match(pattern, this.source, this.position);
      if (text === null) continue;
      if (kind === 'name' && !/^[\p{L}\p{Nl}_]/u.test(text)) break;
      if (kind === 'operator') this.balance(text, brackets);
      this.push(kind, kind === 'string' ? literalText(text.slice(1, -1), this.line) : text);
      this.advance(text);
      return;
    }
    const character = String.fromCodePoint(this.source.codePointAt(this.position) as number);
    throw new TemplateError(`unexpected ${JSON.stringify(character)}`, 'syntax', this.line);
  }

  private balance(operator: string, brackets: string[]): void {
    const expected = closing[operator];
    if (expected !== undefined) brackets.push(expected);
    else if (/^[)\]}]$/.test(operator) && brackets.pop() !== operator) {
      throw new TemplateError(`unexpected ${JSON.stringify(operator)}`, 'syntax', this.line);
    }
  }
}

const escapes: ReadonlyMap<string, string> = new Map([
  ['\n', ''],
  ['\\', '\\'],
  ["'", "'"],
  ['"', '"'],
  ['a', '\x07'],
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['v', '\v'],
]);

/** What a string literal stands for, by Python's rules. */
function literalText(text: string, line: number): string {
  return text.replace(
    /\\(?:([0-7]{1,3})|x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|(.))/gsu,
    (whole, octal, x, u, U, other) => {
      const code = octal === undefined ? Number.parseInt(x ?? u ?? U, 16) : Number.parseInt(octal, 8);
      if (other === undefined && code <= 0x10ffff) return String.fromCodePoint(code);
      if (other === undefined || /[xuUN]/.test(other)) {
        throw new TemplateError(`${whole} is no escape that can be read`, 'syntax', line);
      }
      // Python reads other alphabets as escapes before it reads these.
      return escapes.get(other) ?? (other > '\x7f' ? escaped(other) : whole);
    },
  );
}
