import type { CallArguments, Expression, Statement } from './ast';

type Part = Expression | null;

function argumentParts({ positional, named, rest, namedRest }: CallArguments): Part[] {
  return [...positional, ...named.map(([, value]) => value), rest, namedRest];
}

function parts(expression: Expression): readonly Part[] {
  switch (expression.kind) {
    case 'constant':
    case 'name':
      return [];
    case 'list':
    case 'tuple':
      return expression.items;
    case 'dict':
      return expression.pairs.flat();
    case 'condition':
      return [expression.test, expression.then, expression.otherwise];
    case 'or':
    case 'and':
    case 'binary':
      return [expression.left, expression.right];
    case 'not':
    case 'negative':
    case 'positive':
      return [expression.operand];
    case 'comparison':
      return [expression.first, ...expression.rest.map(([, operand]) => operand)];
    case 'concatenation':
      return expression.parts;
    case 'attribute':
      return [expression.target];
    case 'item':
      return [expression.target, expression.key];
    case 'slice':
      return [expression.start, expression.stop, expression.step];
    case 'call':
    case 'filter':
    case 'test':
      return [expression.target, ...argumentParts(expression.arguments)];
  }
}

/** The expressions that an expression consists of, in the order in which they stand. */
export function partsOf(expression: Expression): readonly Expression[] {
  return parts(expression).filter((part) => part !== null);
}

/** The expressions of a statement itself, without those of its blocks. */
export function expressionsOf(statement: Statement): readonly Expression[] {
  switch (statement.kind) {
    case 'print':
    case 'set':
      return [statement.value];
    case 'for':
      return statement.test === null ? [statement.items] : [statement.items, statement.test];
    case 'if':
      return statement.branches.map(({ test }) => test);
    case 'set-block':
      return statement.filter === null ? [] : [statement.filter];
    case 'macro':
      return statement.signature.defaults;
    case 'call':
      return [statement.call, ...statement.signature.defaults];
    case 'filter':
      return [statement.filter];
    case 'with':
      return statement.assignments.map(([, value]) => value);
    default:
      return [];
  }
}

/** The blocks of a statement. */
export function blocksOf(statement: Statement): readonly (readonly Statement[])[] {
  switch (statement.kind) {
    case 'for':
      return [statement.scope.body, statement.otherwise.body];
    case 'if':
      return [...statement.branches.map(({ body }) => body), statement.otherwise];
    case 'macro':
    case 'call':
    case 'generation':
      return [statement.signature.scope.body];
    case 'set-block':
    case 'filter':
    case 'with':
    case 'block':
      return [statement.scope.body];
    default:
      return [];
  }
}

/** Whether any of the expressions, or of those that they consist of, is as asked. */
export function someExpression(
  expressions: readonly Expression[],
  isIt: (expression: Expression) => boolean,
): boolean {
  return expressions.some((expression) => isIt(expression) || someExpression(partsOf(expression), isIt));
}

/** The same for all expressions of statements and their blocks. */
export function someInside(body: readonly Statement[], isIt: (expression: Expression) => boolean): boolean {
  return body.some(
    (statement) =>
      someExpression(expressionsOf(statement), isIt) ||
      blocksOf(statement).some((block) => someInside(block, isIt)),
  );
}
