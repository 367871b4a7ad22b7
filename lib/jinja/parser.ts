import type { Expression, FilterExpression, Scope, Signature, Statement } from './ast';
import { ExpressionParser } from './expression-parser';
import { tokenize } from './lexer';
import { TokenStream } from './token-stream';

/** UTF-16 units of the longest template that is read. */
const maxSourceLength = 2 ** 20;

/** Tags that would need other templates. */
const unsupported = ['extends', 'include', 'import', 'from', 'autoescape'];

/** Parses a template. Throws a TemplateError of the kind `syntax`. */
export function parse(source: string): Scope {
  const stream = new TokenStream([]);
  if (source.length > maxSourceLength)
    stream.fail(`the template has more than ${maxSourceLength} characters`, 1);
  return new Parser(new TokenStream(tokenize(source))).template();
}

class Parser extends ExpressionParser {
  /** What may end the blocks that are open, from the outermost. */
  private readonly ends: (readonly string[])[] = [];
  private readonly blocks = new Set<string>();

  template(): Scope {
    return { body: this.statements(), unset: [] };
  }

  /** Up to the end of the template or, in a block, to one of the words that end it. */
  private statements(end: readonly string[] = []): Statement[] {
    const { stream } = this;
    const statements: Statement[] = [];
    while (!stream.is('end')) {
      const { kind, line, value } = stream.next();
      if (kind === 'text') statements.push({ kind, line, text: value });
      else if (kind === 'print-begin') {
        statements.push({ kind: 'print', line, value: this.tuple() });
        stream.expect('print-end');
      } else {
        if (end.length > 0 && stream.isWord(...end)) return statements;
        statements.push(...this.statement());
        stream.expect('block-end');
      }
    }
    return end.length === 0
      ? statements
      : stream.fail(`expected ${end.join(' or ')}, got the end of the template`);
  }

  /** The inside of a block; `end` is read, too. */
  private body(...end: readonly string[]): Statement[] {
    const { stream } = this;
    // A colon is allowed here, as in Python.
    stream.skip('operator', ':');
    stream.expect('block-end');
    this.ends.push(end);
    const statements = stream.nested(() => this.statements(end));
    this.ends.pop();
    return statements;
  }

  private scopeUntil(end: string): Scope {
    const body = this.body(end);
    this.stream.next();
    return { body, unset: [] };
  }

  private statement(): Statement[] {
    const { stream } = this;
    const { line, value: tag } = stream.expect('name');
    switch (tag) {
      case 'for':
        return [this.forStatement(line)];
      case 'if':
        return [this.ifStatement(line)];
      case 'set':
        return [this.setStatement(line)];
      case 'macro': {
        const name = stream.expect('name').value;
        return [{ kind: 'macro', line, signature: this.signature(name, 'endmacro', true) }];
      }
      case 'call':
        return [this.callBlock(line)];
      case 'generation':
        return [{ kind: 'generation', line, signature: this.signature('caller', 'endgeneration', false) }];
      case 'filter': {
        const filter = this.filters(this.filter(null));
        return [{ kind: 'filter', line, filter, scope: this.scopeUntil('endfilter') }];
      }
      case 'with':
        return [this.withStatement(line)];
      case 'block':
        return [this.block(line)];
      case 'print':
        return this.printStatement(line);
      case 'break':
      case 'continue':
        return [{ kind: tag, line }];
    }
    if (unsupported.includes(tag))
      stream.fail(`the tag ${tag} is not supported: a template stands alone`, line);
    return stream.fail(this.unexpected(tag), line);
  }

  private unexpected(tag: string): string {
    const end = this.ends.at(-1);
    return `unexpected tag ${JSON.stringify(tag)}${end === undefined ? '' : `, expected ${end.join(' or ')}`}`;
  }

  private forStatement(line: number): Statement {
    const { stream } = this;
    const target = this.target({ end: 'in' });
    stream.expect('name', 'in');
    const items = this.tuple({ withCondition: false, end: 'recursive' });
    const test = stream.skip('name', 'if') ? this.expression() : null;
    const recursive = stream.skip('name', 'recursive');
    const scope: Scope = { body: this.body('endfor', 'else'), unset: [] };
    const otherwise: Scope =
      stream.next().value === 'else' ? this.scopeUntil('endfor') : { body: [], unset: [] };
    return { kind: 'for', line, target, items, test, recursive, usesLoop: false, scope, otherwise };
  }

  private ifStatement(line: number): Statement {
    const branches: { test: Expression; body: readonly Statement[] }[] = [];
    let word = 'elif';
    while (word === 'elif') {
      const test = this.tuple({ withCondition: false });
      branches.push({ test, body: this.body('elif', 'else', 'endif') });
      word = this.stream.next().value;
    }
    const otherwise = word === 'else' ? this.scopeUntil('endif').body : [];
    return { kind: 'if', line, branches, otherwise };
  }

  private setStatement(line: number): Statement {
    const target = this.target({ members: true });
    if (this.stream.skip('operator', '=')) return { kind: 'set', line, target, value: this.tuple() };
    const filter = this.stream.skip('operator', '|') ? this.filters(this.filter(null)) : null;
    return { kind: 'set-block', line, target, filter, scope: this.scopeUntil('endset') };
  }

  /** Filters that follow a first one. */
  private filters(first: FilterExpression): FilterExpression {
    let filter = first;
    while (this.stream.skip('operator', '|')) filter = this.filter(filter);
    return filter;
  }

  private callBlock(line: number): Statement {
    const { stream } = this;
    const head = stream.isOperator('(') ? this.parameters() : { parameters: [], defaults: [] };
    const call = this.expression();
    if (call.kind !== 'call') return stream.fail('expected a call', line);
    const scope = this.scopeUntil('endcall');
    const uses = { caller: false, varargs: false, kwargs: false };
    return { kind: 'call', line, call, signature: { name: 'caller', ...head, scope, uses } };
  }

  private signature(name: string, end: string, hasParameters: boolean): Signature {
    const head = hasParameters ? this.parameters() : { parameters: [], defaults: [] };
    const uses = { caller: false, varargs: false, kwargs: false };
    return { name, ...head, scope: this.scopeUntil(end), uses };
  }

  private parameters(): Pick<Signature, 'parameters' | 'defaults'> {
    const { stream } = this;
    const parameters: string[] = [];
    const names = new Set<string>();
    const defaults: Expression[] = [];
    stream.expect('operator', '(');
    while (!stream.isOperator(')')) {
      if (parameters.length > 0) stream.expect('operator', ',');
      const { value } = stream.expect('name');
      if (/^([Tt]rue|[Ff]alse|[Nn]one)$/.test(value)) stream.fail(`${value} cannot be a parameter`);
      if (names.has(value)) stream.fail(`the parameter ${value} stands twice`);
      names.add(value);
      parameters.push(value);
      if (stream.skip('operator', '=')) defaults.push(this.expression());
      else if (defaults.length > 0) stream.fail('a parameter without default follows one that has a default');
    }
    stream.next();
    return { parameters, defaults };
  }

  private withStatement(line: number): Statement {
    const { stream } = this;
    const assignments: (readonly [ReturnType<Parser['target']>, Expression])[] = [];
    while (!stream.is('block-end')) {
      if (assignments.length > 0) stream.expect('operator', ',');
      const target = this.target();
      stream.expect('operator', '=');
      assignments.push([target, this.expression()]);
    }
    return { kind: 'with', line, assignments, scope: this.scopeUntil('endwith') };
  }

  private block(line: number): Statement {
    const { stream } = this;
    const name = stream.expect('name').value;
    if (this.blocks.has(name)) stream.fail(`the block ${name} stands twice`, line);
    this.blocks.add(name);
    const required = stream.isWord('required');
    while (stream.skip('name', 'scoped') || stream.skip('name', 'required'));
    if (required) stream.fail('a required block needs another template', line);
    const scope = this.scopeUntil('endblock');
    if (stream.is('name')) stream.expect('name', name);
    return { kind: 'block', line, name, scope };
  }

  private printStatement(line: number): Statement[] {
    const statements: Statement[] = [];
    while (!this.stream.is('block-end')) {
      if (statements.length > 0) this.stream.expect('operator', ',');
      statements.push({ kind: 'print', line, value: this.expression() });
    }
    return statements;
  }
}
