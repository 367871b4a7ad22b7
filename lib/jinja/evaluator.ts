import { attributeOf, itemOf, sliceItem } from './access';
import type { Arguments } from './arguments';
import { calculate, concatenated, signed } from './arithmetic';
import type { CallArguments, CallExpression, Expression, FilterExpression } from './ast';
import type { Environment } from './environment';
import { fail } from './errors';
import { filters } from './filters';
import { iterate } from './iteration';
import type { Budget } from './limits';
import { Loop } from './loop';
import { compare, truth } from './operators';
import type { Runtime } from './runtime';
import { tests } from './tests';
import { Callable, Dict, SliceValue, Stream, Tuple, textOf, typeName, Undefined, type Value } from './values';

/** Evaluates expressions. */
export class Evaluator implements Runtime {
  readonly filters = filters;
  readonly tests = tests;

  constructor(readonly budget: Budget) {}

  filter(name: string, value: Value, given: Arguments): Value {
    const filter = filters.get(name) ?? fail(`there is no filter named '${name}'`);
    return this.budget.nested(() => filter(value, given, this));
  }

  test(name: string, value: Value, given: Arguments): boolean {
    const test = tests.get(name) ?? fail(`there is no test named '${name}'`);
    return this.budget.nested(() => test(value, given, this));
  }

  evaluate(expression: Expression, scope: Environment): Value {
    this.budget.enter();
    this.budget.line = expression.line;
    const value = this.evaluateHere(expression, scope);
    this.budget.leave();
    return value;
  }

  private evaluateHere(expression: Expression, scope: Environment): Value {
    const { budget } = this;
    switch (expression.kind) {
      case 'constant':
        return expression.value;
      case 'name':
        return scope.get(expression.name);
      case 'list':
        return this.all(expression.items, scope);
      case 'tuple':
        return new Tuple(this.all(expression.items, scope));
      case 'dict':
        return new Dict(
          expression.pairs.map(
            ([key, value]) => [this.evaluate(key, scope), this.evaluate(value, scope)] as const,
          ),
          budget,
        );
      case 'condition': {
        const { test, then, otherwise } = expression;
        if (truth(this.evaluate(test, scope))) return this.evaluate(then, scope);
        if (otherwise !== null) return this.evaluate(otherwise, scope);
        return new Undefined('the inline if-expression evaluated to false and no else section was defined.');
      }
      case 'or':
      case 'and': {
        const left = this.evaluate(expression.left, scope);
        return truth(left) === (expression.kind === 'or') ? left : this.evaluate(expression.right, scope);
      }
      case 'not':
        return !truth(this.evaluate(expression.operand, scope));
      case 'negative':
      case 'positive':
        return signed(expression.kind === 'negative' ? '-' : '+', this.evaluate(expression.operand, scope));
      case 'comparison':
        return this.comparison(expression, scope);
      case 'binary':
        return calculate(
          expression.operator,
          this.evaluate(expression.left, scope),
          this.evaluate(expression.right, scope),
          budget,
        );
      case 'concatenation':
        return concatenated(this.all(expression.parts, scope), budget);
      case 'attribute':
        return attributeOf(this.evaluate(expression.target, scope), expression.name, this);
      case 'item':
        return this.item(expression.target, expression.key, scope);
      case 'slice':
        return this.slice(expression, scope);
      case 'call':
        return this.call(expression, scope, null);
      case 'filter':
        return this.applyFilter(expression, scope, null);
      case 'test':
        return this.test(
          expression.name,
          this.evaluate(expression.target, scope),
          this.arguments(expression.arguments, scope),
        );
    }
  }

  private all(expressions: readonly Expression[], scope: Environment): Value[] {
    return expressions.map((expression) => this.evaluate(expression, scope));
  }

  /** `a < b < c`: each operand is evaluated once, and only as long as it matters. */
  private comparison(expression: Extract<Expression, { kind: 'comparison' }>, scope: Environment): boolean {
    let left = this.evaluate(expression.first, scope);
    for (const [operator, operand] of expression.rest) {
      const right = this.evaluate(operand, scope);
      if (!compare(operator, left, right, this.budget)) return false;
      left = right;
    }
    return true;
  }

  private item(target: Expression, key: Expression, scope: Environment): Value {
    const value = this.evaluate(target, scope);
    if (key.kind === 'slice') return sliceItem(value, this.slice(key, scope), this);
    return itemOf(value, this.evaluate(key, scope), this);
  }

  private slice(
    { start, stop, step }: Extract<Expression, { kind: 'slice' }>,
    scope: Environment,
  ): SliceValue {
    const bound = (expression: Expression | null) =>
      expression === null ? null : this.evaluate(expression, scope);
    return new SliceValue(bound(start), bound(stop), bound(step));
  }

  /** A filter; `content` is what a block holds, for filters without a value of their own. */
  applyFilter(expression: FilterExpression, scope: Environment, content: string | null): Value {
    const { target, name } = expression;
    let value: Value = content ?? '';
    if (target?.kind === 'filter') {
      this.budget.enter();
      value = this.applyFilter(target, scope, content);
      this.budget.leave();
    } else if (target !== null) {
      value = this.evaluate(target, scope);
    }
    const given = this.arguments(expression.arguments, scope);
    this.budget.line = expression.line;
    return this.filter(name, value, given);
  }

  /** A call; a call block hands over its body as `caller`. */
  call(expression: CallExpression, scope: Environment, caller: Callable | null): Value {
    const called = this.evaluate(expression.target, scope);
    const given = this.arguments(expression.arguments, scope, caller);
    this.budget.line = expression.line;
    return this.invoke(called, given);
  }

  invoke(called: Value, given: Arguments): Value {
    if (called instanceof Undefined) return called.raise();
    if (called instanceof Loop) return this.budget.nested(() => called.call(given));
    if (!(called instanceof Callable)) return fail(`'${typeName(called)}' object is not callable`);
    return this.budget.nested(() => called.call(given, this));
  }

  /** The items that a condition lets through, each asked for when it is needed. */
  select(items: Value, isChosen: (item: Value) => boolean): Stream {
    const all = iterate(items, this.budget);
    function* chosen(): Generator<Value> {
      for (const item of all) if (isChosen(item)) yield item;
    }
    return new Stream(chosen());
  }

  private arguments(given: CallArguments, scope: Environment, caller: Callable | null = null): Arguments {
    const positional = this.all(given.positional, scope);
    const named = new Map<string, Value>();
    const add = (name: string, value: Value) => {
      if (named.has(name)) fail(`got multiple values for keyword argument '${name}'`);
      named.set(name, value);
    };
    for (const [name, value] of given.named) add(name, this.evaluate(value, scope));
    if (caller !== null) add('caller', caller);
    if (given.rest !== null) {
      for (const value of iterate(this.evaluate(given.rest, scope), this.budget)) positional.push(value);
    }
    if (given.namedRest !== null) {
      const rest = this.evaluate(given.namedRest, scope);
      if (rest instanceof Undefined) rest.raise();
      if (!(rest instanceof Dict)) return fail('the argument after ** must be a mapping');
      for (const [key, value] of rest.pairs()) add(textOf(key) ?? fail('keywords must be strings'), value);
    }
    return { positional, named };
  }
}
