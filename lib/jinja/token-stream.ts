import { TemplateError } from './errors';
import type { Token, TokenKind } from './lexer';

/** How deeply a template's source may nest. */
export const maxSourceDepth = 100;

/** Tokens with one to look ahead, and the errors of a parser. */
export class TokenStream {
  private position = 0;
  private depth = 0;

  constructor(private readonly tokens: readonly Token[]) {}

  get current(): Token {
    return this.tokens[this.position] as Token;
  }

  get following(): Token {
    return this.tokens[Math.min(this.position + 1, this.tokens.length - 1)] as Token;
  }

  next(): Token {
    const { current } = this;
    if (current.kind !== 'end') this.position++;
    return current;
  }

  is(kind: TokenKind, ...values: readonly string[]): boolean {
    const { current } = this;
    return current.kind === kind && (values.length === 0 || values.includes(current.value));
  }

  isOperator(...values: readonly string[]): boolean {
    return this.is('operator', ...values);
  }

  isWord(...values: readonly string[]): boolean {
    return this.is('name', ...values);
  }

  skip(kind: TokenKind, value: string): boolean {
    const found = this.is(kind, value);
    if (found) this.next();
    return found;
  }

  expect(kind: TokenKind, value?: string): Token {
    if (value === undefined ? this.is(kind) : this.is(kind, value)) return this.next();
    return this.fail(
      `expected ${value === undefined ? described(kind) : quoted(value)}, got ${this.found()}`,
    );
  }

  /** What stands here, in words. */
  found(): string {
    const { kind, value } = this.current;
    return value === '' || kind === 'text' ? described(kind) : quoted(value);
  }

  fail(message: string, line = this.current.line): never {
    throw new TemplateError(message, 'syntax', line);
  }

  /** Parses what nests in itself; refuses what would nest too deeply for those who walk through the result. */
  nested<T>(parse: () => T): T {
    if (++this.depth > maxSourceDepth) this.fail('the template nests too deeply');
    const result = parse();
    this.depth--;
    return result;
  }
}

function quoted(value: string): string {
  return value.length > 40 ? `${JSON.stringify(value.slice(0, 40))}…` : JSON.stringify(value);
}

const descriptions: Readonly<Record<TokenKind, string>> = {
  text: 'text',
  'print-begin': "'{{'",
  'print-end': "'}}'",
  'block-begin': "'{%'",
  'block-end': "'%}'",
  name: 'a name',
  string: 'a string',
  integer: 'an integer',
  float: 'a number',
  operator: 'an operator',
  end: 'the end of the template',
};

function described(kind: TokenKind): string {
  return descriptions[kind];
}
