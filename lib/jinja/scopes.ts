import type { Expression, Scope, Signature, Statement, Target } from './ast';
import { TemplateError } from './errors';
import { expressionsOf, partsOf, someInside } from './walk';

/**
 * Finds for each scope the names that are unset when it is entered. jinja2 decides while it compiles where a name
 * comes from: one that a scope assigns outside of conditions before it reads it, and that no scope around it knows,
 * belongs to the scope alone, even for macros and loops inside that run before the assignment.
 */
export function resolveScopes(template: Scope): void {
  resolve(template, null, []);
}

/** The names of one scope. */
class Names {
  known = new Set<string>();
  assigned = new Set<string>();
  unset = new Set<string>();

  constructor(readonly parent: Names | null) {}

  knows(name: string): boolean {
    return this.known.has(name) || (this.parent?.knows(name) ?? false);
  }

  read(name: string): void {
    if (!this.knows(name)) this.known.add(name);
  }

  declare(name: string): void {
    this.known.add(name);
    this.assigned.add(name);
  }

  assign(name: string): void {
    this.assigned.add(name);
    if (this.known.has(name)) return;
    this.known.add(name);
    if (!this.parent?.knows(name)) this.unset.add(name);
  }

  copy(): Names {
    const copy = new Names(this.parent);
    copy.known = new Set(this.known);
    copy.assigned = new Set(this.assigned);
    copy.unset = new Set(this.unset);
    return copy;
  }

  /** What one of several branches does may not have been done. */
  merge(branches: readonly Names[]): void {
    const before = new Set(this.assigned);
    for (const branch of branches) {
      for (const name of branch.known) this.known.add(name);
      for (const name of branch.unset) this.unset.add(name);
      for (const name of branch.assigned) this.assigned.add(name);
    }
    for (const name of this.assigned) {
      if (!before.has(name)) this.unset.delete(name);
    }
  }
}

function resolve(
  scope: Scope,
  parent: Names | null,
  parameters: readonly string[],
  first: readonly Expression[] = [],
) {
  const names = new Names(parent);
  for (const name of parameters) names.declare(name);
  for (const expression of first) read(expression, names);
  visit(scope.body, names);
  scope.unset = [...names.unset];
  inner(scope.body, names);
}

function read(expression: Expression, names: Names): void {
  if (expression.kind === 'name') names.read(expression.name);
  else for (const part of partsOf(expression)) read(part, names);
}

function targetNames(target: Target): string[] {
  if (target.kind === 'tuple') return target.items.flatMap(targetNames);
  return target.kind === 'name' ? [target.name] : [];
}

function assign(target: Target, names: Names): void {
  if (target.kind === 'tuple') for (const item of target.items) assign(item, names);
  else if (target.kind === 'name') names.assign(target.name);
  else names.read(target.namespace);
}

/** What statements do to the names of their own scope. */
function visit(body: readonly Statement[], names: Names): void {
  for (const statement of body) {
    switch (statement.kind) {
      case 'if': {
        for (const test of expressionsOf(statement)) read(test, names);
        const branches = [...statement.branches.map(({ body }) => body), statement.otherwise];
        const copies = branches.map((branch) => {
          const copy = names.copy();
          visit(branch, copy);
          return copy;
        });
        names.merge(copies);
        break;
      }
      case 'macro':
        names.assign(statement.signature.name);
        break;
      case 'for':
        read(statement.items, names);
        break;
      case 'call':
        read(statement.call, names);
        break;
      case 'set-block':
        assign(statement.target, names);
        break;
      default:
        for (const expression of expressionsOf(statement)) read(expression, names);
        if (statement.kind === 'set') assign(statement.target, names);
    }
  }
}

/** The scopes inside of a scope. */
function inner(body: readonly Statement[], names: Names): void {
  for (const statement of body) {
    switch (statement.kind) {
      case 'if':
        for (const branch of statement.branches) inner(branch.body, names);
        inner(statement.otherwise, names);
        break;
      case 'for': {
        const isLoop = (expression: Expression) => expression.kind === 'name' && expression.name === 'loop';
        statement.usesLoop = statement.recursive || someInside(statement.scope.body, isLoop);
        const special = statement.usesLoop ? ['loop'] : [];
        resolve(statement.scope, names, [...special, ...targetNames(statement.target)]);
        resolve(statement.otherwise, names, []);
        refuseLoop(statement);
        break;
      }
      case 'macro':
      case 'call':
      case 'generation':
        resolveSignature(statement.signature, names);
        break;
      case 'with':
        resolve(
          statement.scope,
          names,
          statement.assignments.flatMap(([target]) => targetNames(target)),
        );
        break;
      case 'block':
        resolve(statement.scope, null, []);
        break;
      case 'filter':
      case 'set-block':
        resolve(statement.scope, names, []);
    }
  }
}

function resolveSignature({ parameters, defaults, scope, uses }: Signature, names: Names): void {
  resolve(scope, names, parameters, defaults);
  for (const name of ['caller', 'varargs', 'kwargs'] as const) {
    uses[name] = readsBeforeAssigning(scope.body, name);
  }
}

function readsBeforeAssigning(body: readonly Statement[], name: string): boolean {
  return someInside(body, (expression) => expression.kind === 'name' && expression.name === name);
}

/** `loop` cannot be assigned to in a loop. */
function refuseLoop(statement: Extract<Statement, { kind: 'for' }>): void {
  const assigns = (target: Target): boolean => targetNames(target).includes('loop');
  const search = (body: readonly Statement[]): Statement | undefined =>
    body.find((inside) => (inside.kind === 'set' || inside.kind === 'set-block') && assigns(inside.target));
  const wrong = assigns(statement.target) ? statement : search(statement.scope.body);
  if (wrong !== undefined) throw new TemplateError('loop cannot be assigned to', 'syntax', wrong.line);
}
