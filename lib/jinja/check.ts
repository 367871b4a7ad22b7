import type { Expression, Scope, Statement } from './ast';
import { TemplateError } from './errors';
import { blocksOf, expressionsOf, partsOf } from './walk';

/** How deeply the expressions of a template may nest, `a + b + c` being two deep. */
const maxExpressionDepth = 250;

/** Names that a template may use as filters and tests. */
export interface Names {
  readonly filters: { has(name: string): boolean };
  readonly tests: { has(name: string): boolean };
}

interface Place {
  /** Inside of a loop, whose rounds can be ended. */
  readonly inLoop: boolean;
  /** Inside of a condition: a missing filter is an error only if it is reached. */
  readonly conditional: boolean;
}

/** Refuses what jinja2 refuses while it compiles, and what nests too deeply. */
export function check(template: Scope, names: Names): void {
  statements(template.body, { inLoop: false, conditional: false }, names);
}

function statements(body: readonly Statement[], place: Place, names: Names): void {
  for (const statement of body) {
    const { kind, line } = statement;
    if ((kind === 'break' || kind === 'continue') && !place.inLoop) {
      throw new TemplateError(`${kind} stands outside of a loop`, 'syntax', line);
    }
    const conditional = kind === 'if' ? true : place.conditional;
    for (const expression of expressionsOf(statement)) expressions(expression, conditional, names, 1);
    const inside = {
      inLoop: kind === 'for' || (place.inLoop && ['if', 'with', 'filter', 'set-block'].includes(kind)),
      conditional: kind === 'if',
    };
    blocksOf(statement).forEach((block, i) => {
      // The part of a loop after its `else` runs after the loop.
      const afterLoop = kind === 'for' && i === 1;
      statements(block, afterLoop ? { ...inside, inLoop: place.inLoop } : inside, names);
    });
  }
}

function expressions(expression: Expression, conditional: boolean, names: Names, depth: number): void {
  const { kind, line } = expression;
  if (depth > maxExpressionDepth) throw new TemplateError('the template nests too deeply', 'syntax', line);
  if ((kind === 'filter' || kind === 'test') && !conditional) {
    const known = kind === 'filter' ? names.filters : names.tests;
    if (!known.has(expression.name)) {
      throw new TemplateError(`there is no ${kind} named ${JSON.stringify(expression.name)}`, 'syntax', line);
    }
  }
  for (const part of partsOf(expression)) {
    expressions(part, conditional || kind === 'condition', names, depth + 1);
  }
}
