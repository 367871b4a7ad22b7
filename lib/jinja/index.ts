import type { Scope } from './ast';
import { check } from './check';
import { Environment } from './environment';
import { TemplateError } from './errors';
import { filters } from './filters';
import { globals } from './globals';
import { Input } from './input';
import { Budget, defaultLimits, type Limits } from './limits';
import { parse } from './parser';
import { Renderer } from './renderer';
import { resolveScopes } from './scopes';
import { tests } from './tests';

export { TemplateError } from './errors';
export type { Limits } from './limits';

/**
 * A chat template, rendered as jinja2 renders it where transformers sets it up: in an immutable sandbox, with
 * `trim_blocks`, `lstrip_blocks`, loop controls, the tag `generation`, `raise_exception`, `strftime_now` and a `tojson`
 * that escapes no HTML. Templates are not trusted: they reach nothing but the variables that they are given, and what they
 * take is limited.
 */
export class Template {
  private readonly scope: Scope;
  private readonly limits: Limits;

  /** Throws a TemplateError of the kind `syntax`, with the line, for what is no template. */
  constructor(source: string, limits: Partial<Limits> = {}) {
    this.limits = { ...defaultLimits, ...limits };
    this.scope = guarded(() => {
      const scope = parse(source);
      check(scope, { filters, tests });
      resolveScopes(scope);
      return scope;
    }, 'syntax');
  }

  /**
   * Renders the template. Variables are JSON's values; those that are undefined are none.
   *
   * @throws TemplateError of the kind `raised` where the template calls `raise_exception`, `limit` where it takes too much,
   *     `render` where it does what Python would not do
   */
  render(variables: Readonly<Record<string, unknown>>): string {
    const input = new Input();
    const names = new Environment(null, []);
    for (const [name, value] of globals) names.set(name, value);
    const given = new Environment(names, []);
    const values = guarded(
      () =>
        Object.entries(variables)
          .filter(([, value]) => value !== undefined)
          .map(([name, value]) => [name, input.value(value)] as const),
      'render',
    );
    for (const [name, value] of values) given.set(name, value);
    const budget = new Budget(this.limits, input.length);
    return guarded(() => new Renderer(budget, given).render(this.scope), 'limit', budget);
  }
}

/** Gives errors the line that is being worked on, and the one of a full stack our own class. */
function guarded<T>(work: () => T, kind: TemplateError['kind'], budget?: Budget): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof RangeError) {
      throw new TemplateError('the template nests too deeply or makes too much', kind, budget?.line ?? null);
    }
    if (error instanceof TemplateError) error.line ??= budget?.line ?? null;
    throw error;
  }
}
