import type { CallArguments, Expression, FilterExpression } from './ast';
import type { TokenStream } from './token-stream';

const constants: ReadonlyMap<string, null | boolean> = new Map([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['none', null],
  ['None', null],
]);

const noArguments: CallArguments = { positional: [], named: [], rest: null, namedRest: null };

/** Digits of the longest number that Python reads. */
const maxDigits = 4300;

/** Operands: names, literals, what is in brackets, and what can follow them. */
export abstract class OperandParser {
  constructor(protected readonly stream: TokenStream) {}

  abstract expression(): Expression;
  /** What stands between round brackets. */
  protected abstract inBrackets(): Expression;

  protected primary(): Expression {
    const { stream } = this;
    const { kind, value, line } = stream.current;
    if (kind === 'name') {
      stream.next();
      const constant = constants.get(value);
      return constant === undefined
        ? { kind: 'name', line, name: value }
        : { kind: 'constant', line, value: constant };
    }
    if (kind === 'string') return this.string();
    if (kind === 'integer' || kind === 'float') {
      stream.next();
      if (value.length > maxDigits) stream.fail('a number has too many digits', line);
      const digits = value.replaceAll('_', '').replace(/^0+(?=\d)/, '');
      return { kind: 'constant', line, value: kind === 'float' ? Number(digits) : BigInt(digits) };
    }
    if (stream.skip('operator', '(')) {
      const inside = stream.nested(() => this.inBrackets());
      stream.expect('operator', ')');
      return inside;
    }
    if (stream.isOperator('[')) return { kind: 'list', line, items: this.list() };
    if (stream.isOperator('{')) return this.dict();
    return stream.fail(`unexpected ${stream.found()}`);
  }

  /** Strings that stand beside each other are one. */
  private string(): Expression {
    const { line } = this.stream.current;
    const parts: string[] = [];
    while (this.stream.is('string')) parts.push(this.stream.next().value);
    return { kind: 'constant', line, value: parts.join('') };
  }

  private list(): Expression[] {
    const items: Expression[] = [];
    this.commaSeparated('[', ']', () => items.push(this.expression()));
    return items;
  }

  private dict(): Expression {
    const { line } = this.stream.current;
    const pairs: (readonly [Expression, Expression])[] = [];
    this.commaSeparated('{', '}', () => {
      const key = this.expression();
      this.stream.expect('operator', ':');
      pairs.push([key, this.expression()]);
    });
    return { kind: 'dict', line, pairs };
  }

  private commaSeparated(open: string, close: string, parse: () => void): void {
    const { stream } = this;
    stream.expect('operator', open);
    while (!stream.isOperator(close)) {
      parse();
      if (!stream.isOperator(close)) stream.expect('operator', ',');
    }
    stream.expect('operator', close);
  }

  protected postfix(expression: Expression): Expression {
    let result = expression;
    for (;;) {
      if (this.stream.isOperator('.')) result = this.attribute(result);
      else if (this.stream.isOperator('[')) result = this.item(result);
      else if (this.stream.isOperator('(')) result = this.call(result);
      else return result;
    }
  }

  protected filtersAndTests(expression: Expression): Expression {
    let result = expression;
    for (;;) {
      if (this.stream.skip('operator', '|')) result = this.filter(result);
      else if (this.stream.isWord('is')) result = this.test(result);
      else if (this.stream.isOperator('(')) result = this.call(result);
      else return result;
    }
  }

  private attribute(target: Expression): Expression {
    const { line } = this.stream.next();
    if (this.stream.is('name')) return { kind: 'attribute', line, target, name: this.stream.next().value };
    if (!this.stream.is('integer')) this.stream.fail(`expected a name or number, got ${this.stream.found()}`);
    return { kind: 'item', line, target, key: this.primary() };
  }

  private item(target: Expression): Expression {
    const { line } = this.stream.current;
    const keys: Expression[] = [];
    this.commaSeparated('[', ']', () => keys.push(this.subscript()));
    const key: Expression =
      keys.length === 1 ? (keys[0] as Expression) : { kind: 'tuple', line, items: keys };
    return { kind: 'item', line, target, key };
  }

  private subscript(): Expression {
    const { stream } = this;
    const { line } = stream.current;
    const bound = () => (stream.isOperator(':', ']', ',') ? null : this.expression());
    const start = bound();
    if (start !== null && !stream.isOperator(':')) return start;
    stream.expect('operator', ':');
    const stop = bound();
    const step = stream.skip('operator', ':') ? bound() : null;
    return { kind: 'slice', line, start, stop, step };
  }

  private call(target: Expression): Expression {
    const { line } = this.stream.current;
    return { kind: 'call', line, target, arguments: this.callArguments() };
  }

  private callArguments(): CallArguments {
    const { stream } = this;
    const { line } = stream.current;
    const positional: Expression[] = [];
    const named: (readonly [string, Expression])[] = [];
    const names = new Set<string>();
    let rest: Expression | null = null;
    let namedRest: Expression | null = null;
    const refuse = (wrong: boolean) => wrong && stream.fail('these arguments stand in a wrong order', line);
    this.commaSeparated('(', ')', () => {
      if (stream.skip('operator', '*')) {
        refuse(rest !== null || namedRest !== null);
        rest = this.expression();
      } else if (stream.skip('operator', '**')) {
        refuse(namedRest !== null);
        namedRest = this.expression();
      } else if (
        stream.is('name') &&
        stream.following.kind === 'operator' &&
        stream.following.value === '='
      ) {
        refuse(namedRest !== null);
        const name = stream.next().value;
        stream.next();
        if (names.has(name)) stream.fail(`the argument ${name} is given twice`);
        names.add(name);
        named.push([name, this.expression()]);
      } else {
        refuse(rest !== null || namedRest !== null || named.length > 0);
        positional.push(this.expression());
      }
    });
    return { positional, named, rest, namedRest };
  }

  /** A filter after its `|`. */
  filter(target: Expression | null): FilterExpression {
    const { line } = this.stream.current;
    const name = this.dottedName();
    const given = this.stream.isOperator('(') ? this.callArguments() : noArguments;
    return { kind: 'filter', line, target, name, arguments: given };
  }

  private dottedName(): string {
    let name = this.stream.expect('name').value;
    while (this.stream.skip('operator', '.')) name += `.${this.stream.expect('name').value}`;
    return name;
  }

  private test(target: Expression): Expression {
    const { stream } = this;
    const { line } = stream.next();
    const negated = stream.skip('name', 'not');
    const name = this.dottedName();
    const test: Expression = { kind: 'test', line, target, name, arguments: this.testArguments() };
    return negated ? { kind: 'not', line, operand: test } : test;
  }

  /** In brackets, or one operand without. */
  private testArguments(): CallArguments {
    const { stream } = this;
    if (stream.isOperator('(')) return this.callArguments();
    const begins = stream.is('name') || stream.is('string') || stream.is('integer') || stream.is('float');
    if (!begins && !stream.isOperator('[', '{')) return noArguments;
    if (stream.isWord('else', 'or', 'and')) return noArguments;
    if (stream.isWord('is')) stream.fail('tests cannot be chained with "is"');
    return { ...noArguments, positional: [this.postfix(this.primary())] };
  }
}
