import { noArguments } from './arguments';
import type { ForStatement, Scope, Signature, Statement, Target } from './ast';
import { Environment, unpack } from './environment';
import { fail } from './errors';
import { Evaluator } from './evaluator';
import type { Budget } from './limits';
import { Loop, type Recursion } from './loop';
import { bindMacro, macroAttributes } from './macro';
import { truth } from './operators';
import { str } from './text';
import { Callable, Namespace, textOf, typeName, Undefined, type Value } from './values';

/** Text that is being written. */
class Output {
  private readonly parts: string[] = [];
  private length = 0;

  constructor(private readonly budget: Budget) {}

  write(text: string): void {
    this.length += text.length;
    if (this.length > this.budget.limits.textLength) this.budget.spendText(this.length);
    this.parts.push(text);
  }

  text(): string {
    this.budget.spendText(this.length);
    return this.parts.join('');
  }
}

/** How statements ended: to their end, or by `break` or `continue`. */
type Ending = 'end' | 'break' | 'continue';

/** Runs the statements of a template. */
export class Renderer {
  private readonly evaluator: Evaluator;
  /** The scope of the template itself. */
  private root: Environment;

  constructor(
    private readonly budget: Budget,
    variables: Environment,
  ) {
    this.evaluator = new Evaluator(budget);
    this.root = variables;
  }

  render(template: Scope): string {
    const output = new Output(this.budget);
    this.root = new Environment(this.root, template.unset);
    this.run(template.body, this.root, output);
    return output.text();
  }

  private run(body: readonly Statement[], scope: Environment, output: Output): Ending {
    for (const statement of body) {
      this.budget.enter();
      this.budget.line = statement.line;
      const ending = this.statement(statement, scope, output);
      this.budget.leave();
      if (ending !== 'end') return ending;
    }
    return 'end';
  }

  /** Runs the statements of a scope of their own. */
  private runScope(inner: Scope, outer: Environment, output: Output): Ending {
    return this.run(inner.body, new Environment(outer, inner.unset), output);
  }

  private statement(statement: Statement, scope: Environment, output: Output): Ending {
    const { evaluator, budget } = this;
    switch (statement.kind) {
      case 'text':
        output.write(statement.text);
        return 'end';
      case 'print':
        output.write(str(evaluator.evaluate(statement.value, scope), budget));
        return 'end';
      case 'if': {
        const { branches, otherwise } = statement;
        const found = branches.find(({ test }) => truth(evaluator.evaluate(test, scope)));
        return this.run(found?.body ?? otherwise, scope, output);
      }
      case 'for':
        return this.loop(statement, scope, output);
      case 'set':
        this.assign(statement.target, evaluator.evaluate(statement.value, scope), scope);
        return 'end';
      case 'macro': {
        const { signature } = statement;
        scope.set(signature.name, this.macro(signature, scope));
        return 'end';
      }
      case 'call':
        output.write(
          str(evaluator.call(statement.call, scope, this.macro(statement.signature, scope)), budget),
        );
        return 'end';
      case 'generation':
        output.write(str(evaluator.invoke(this.macro(statement.signature, scope), noArguments), budget));
        return 'end';
      case 'break':
      case 'continue':
        return statement.kind;
      default:
        return this.block(statement, scope, output);
    }
  }

  /** Statements that collect or scope what they hold. */
  private block(
    statement: Extract<Statement, { kind: 'set-block' | 'filter' | 'with' | 'block' }>,
    scope: Environment,
    output: Output,
  ): Ending {
    const { evaluator, budget } = this;
    switch (statement.kind) {
      case 'set-block': {
        const inside = new Output(budget);
        const ending = this.runScope(statement.scope, scope, inside);
        if (ending !== 'end') return ending;
        const text = inside.text();
        const { filter } = statement;
        this.assign(
          statement.target,
          filter === null ? text : evaluator.applyFilter(filter, scope, text),
          scope,
        );
        return 'end';
      }
      case 'filter': {
        const inside = new Output(budget);
        const ending = this.runScope(statement.scope, scope, inside);
        if (ending !== 'end') return ending;
        const filtered = evaluator.applyFilter(statement.filter, scope, inside.text());
        output.write(textOf(filtered) ?? fail(`a filter block gives text, not '${typeName(filtered)}'`));
        return 'end';
      }
      case 'with': {
        const inner = new Environment(scope, statement.scope.unset);
        for (const [target, value] of statement.assignments) {
          this.assign(target, evaluator.evaluate(value, scope), inner);
        }
        return this.run(statement.scope.body, inner, output);
      }
      case 'block':
        return this.runScope(statement.scope, this.root, output);
    }
  }

  private loop(statement: ForStatement, scope: Environment, output: Output): Ending {
    const { evaluator, budget } = this;
    // Inside of itself, the loop's name runs its body for other items.
    const round = (items: Value, depth: number, into: Output): Ending => {
      const recurse = statement.recursive
        ? (inner: Value, innerDepth: number) => {
            const nested = new Output(budget);
            budget.nested(() => round(inner, innerDepth, nested));
            return nested.text();
          }
        : null;
      return this.rounds(statement, items, depth, recurse, scope, into);
    };
    return round(evaluator.evaluate(statement.items, scope), 0, output);
  }

  private rounds(
    statement: ForStatement,
    items: Value,
    depth: number,
    recurse: Recursion | null,
    scope: Environment,
    output: Output,
  ): Ending {
    const { evaluator } = this;
    const loop = new Loop(this.chosen(statement, items, scope), evaluator, depth, recurse);
    // As in jinja2, a round that ends early does not count.
    let rounds = 0;
    for (let item = loop.advance(); item !== undefined; item = loop.advance()) {
      const inner = new Environment(scope, statement.scope.unset);
      if (statement.usesLoop) inner.set('loop', loop);
      this.assign(statement.target, item, inner);
      const ending = this.run(statement.scope.body, inner, output);
      if (ending === 'break') break;
      if (ending === 'end') rounds++;
    }
    return rounds === 0 ? this.runScope(statement.otherwise, scope, output) : 'end';
  }

  /** What the loop's condition lets through, one after the other while the loop runs. */
  private chosen(statement: ForStatement, items: Value, scope: Environment): Value {
    const { target, test } = statement;
    if (test === null) return items;
    return this.evaluator.select(items, (item) => {
      const inner = new Environment(scope, []);
      this.assign(target, item, inner);
      return truth(this.evaluator.evaluate(test, inner));
    });
  }

  private macro(signature: Signature, scope: Environment): Callable {
    const { name, parameters, defaults } = signature;
    const { evaluator, budget } = this;
    return new Callable(
      name,
      (given) => {
        const inner = new Environment(scope, signature.scope.unset);
        const bound = bindMacro(signature, given, budget);
        for (const [variable, value] of bound) {
          if (value !== undefined) inner.set(variable, value);
          else inner.set(variable, new Undefined(`parameter '${variable}' was not provided`));
        }
        parameters.forEach((parameter, i) => {
          const otherwise = defaults[i - parameters.length + defaults.length];
          if (bound.get(parameter) === undefined && otherwise !== undefined) {
            inner.set(parameter, evaluator.evaluate(otherwise, inner));
          }
        });
        const output = new Output(budget);
        this.run(signature.scope.body, inner, output);
        return output.text();
      },
      'Macro',
      macroAttributes(signature),
    );
  }

  private assign(target: Target, value: Value, scope: Environment): void {
    if (target.kind === 'name') scope.set(target.name, value);
    else if (target.kind === 'tuple') {
      const { items } = target;
      const values =
        unpack(value, items.length, this.budget) ?? fail(`expected ${items.length} values to unpack`);
      items.forEach((item, i) => {
        this.assign(item, values[i] as Value, scope);
      });
    } else {
      const namespace = scope.get(target.namespace);
      if (namespace instanceof Undefined) namespace.raise();
      if (!(namespace instanceof Namespace)) fail('cannot assign attribute on non-namespace object');
      else namespace.members.set(target.name, value);
    }
  }
}
