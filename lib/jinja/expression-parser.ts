import type { BinaryOperator, ComparisonOperator, Expression, Target } from './ast';
import { OperandParser } from './operand-parser';

/** What ends a list of expressions without brackets besides the tag's end. */
type EndWord = 'in' | 'recursive' | null;

/** Expressions, by the grammar of jinja2: `**` goes left to right, `-` binds closer than `**`. */
export class ExpressionParser extends OperandParser {
  expression(withCondition = true): Expression {
    return this.stream.nested(() => (withCondition ? this.condition() : this.or()));
  }

  protected inBrackets(): Expression {
    return this.tuple({ inBrackets: true });
  }

  /** An expression, or several with commas: a tuple. */
  tuple(options: { withCondition?: boolean; end?: EndWord; inBrackets?: boolean } = {}): Expression {
    const { withCondition = true, end = null, inBrackets = false } = options;
    return this.items(() => this.expression(withCondition), end, inBrackets);
  }

  private items(parse: () => Expression, end: EndWord, inBrackets: boolean): Expression {
    const { line } = this.stream.current;
    const items: Expression[] = [];
    let isTuple = false;
    while (!this.endsTuple(end)) {
      items.push(parse());
      if (!this.stream.skip('operator', ',')) break;
      isTuple = true;
    }
    if (isTuple || (inBrackets && items.length === 0)) return { kind: 'tuple', line, items };
    return items[0] ?? this.stream.fail(`expected an expression, got ${this.stream.found()}`);
  }

  private endsTuple(end: EndWord): boolean {
    const { stream } = this;
    if (stream.is('print-end') || stream.is('block-end') || stream.isOperator(')')) return true;
    return end !== null && stream.isWord(end);
  }

  /** `a`, `a, b`, and with `members` `namespace.a`. */
  target({ members = false, end = null }: { members?: boolean; end?: EndWord } = {}): Target {
    const item = (): Expression => {
      const { current, following } = this.stream;
      if (!members || current.kind !== 'name' || following.value !== '.') return this.primary();
      this.stream.next();
      this.stream.next();
      const { value } = this.stream.expect('name');
      // Taken apart again below: a member of a name is the one attribute that can be assigned to.
      const target: Expression = { kind: 'name', line: current.line, name: current.value };
      return { kind: 'attribute', line: current.line, target, name: value };
    };
    return this.asTarget(this.items(item, end, false));
  }

  private asTarget(expression: Expression): Target {
    const { kind, line } = expression;
    if (kind === 'name') return { kind, line, name: expression.name };
    if (kind === 'tuple') return { kind, line, items: expression.items.map((item) => this.asTarget(item)) };
    if (kind === 'attribute' && expression.target.kind === 'name') {
      return { kind: 'member', line, namespace: expression.target.name, name: expression.name };
    }
    return this.stream.fail('nothing can be assigned to this', line);
  }

  private condition(): Expression {
    let { line } = this.stream.current;
    let then = this.or();
    while (this.stream.skip('name', 'if')) {
      const test = this.or();
      const otherwise = this.stream.skip('name', 'else') ? this.stream.nested(() => this.condition()) : null;
      then = { kind: 'condition', line, test, then, otherwise };
      line = this.stream.current.line;
    }
    return then;
  }

  private or(): Expression {
    return this.joined('or', () => this.joined('and', () => this.not()));
  }

  private joined(kind: 'or' | 'and', operand: () => Expression): Expression {
    let left = operand();
    while (this.stream.isWord(kind)) {
      const { line } = this.stream.next();
      left = { kind, line, left, right: operand() };
    }
    return left;
  }

  private not(): Expression {
    if (!this.stream.isWord('not')) return this.comparison();
    const { line } = this.stream.next();
    return { kind: 'not', line, operand: this.stream.nested(() => this.not()) };
  }

  private comparison(): Expression {
    const { line } = this.stream.current;
    const first = this.sum();
    const rest: (readonly [ComparisonOperator, Expression])[] = [];
    for (let operator = this.comparisonOperator(); operator !== null; operator = this.comparisonOperator()) {
      rest.push([operator, this.sum()]);
    }
    return rest.length === 0 ? first : { kind: 'comparison', line, first, rest };
  }

  private comparisonOperator(): ComparisonOperator | null {
    const { stream } = this;
    if (stream.isOperator('==', '!=', '<', '<=', '>', '>=')) return stream.next().value as ComparisonOperator;
    if (stream.skip('name', 'in')) return 'in';
    const { kind, value } = stream.following;
    if (!stream.isWord('not') || kind !== 'name' || value !== 'in') return null;
    stream.next();
    stream.next();
    return 'not in';
  }

  private sum(): Expression {
    return this.binary(['+', '-'], () => this.concatenation());
  }

  private concatenation(): Expression {
    const { line } = this.stream.current;
    const parts = [this.product()];
    while (this.stream.skip('operator', '~')) parts.push(this.product());
    return parts.length === 1 ? (parts[0] as Expression) : { kind: 'concatenation', line, parts };
  }

  private product(): Expression {
    return this.binary(['*', '/', '//', '%'], () => this.binary(['**'], () => this.unary(true)));
  }

  private binary(operators: readonly BinaryOperator[], operand: () => Expression): Expression {
    let left = operand();
    while (this.stream.isOperator(...operators)) {
      const { value, line } = this.stream.next();
      left = { kind: 'binary', line, operator: value as BinaryOperator, left, right: operand() };
    }
    return left;
  }

  private unary(withFilter: boolean): Expression {
    let expression: Expression;
    if (this.stream.isOperator('-', '+')) {
      const { value, line } = this.stream.next();
      const operand = this.stream.nested(() => this.unary(false));
      expression = { kind: value === '-' ? 'negative' : 'positive', line, operand };
    } else {
      expression = this.primary();
    }
    expression = this.postfix(expression);
    return withFilter ? this.filtersAndTests(expression) : expression;
  }
}
