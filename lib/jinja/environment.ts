import { iterate } from './iteration';
import type { Budget } from './limits';
import { Undefined, type Value } from './values';

/** Variables of a scope that is entered, around it those of the scopes in which the template has it. */
export class Environment {
  /** Undefined: known, and not assigned yet. */
  private readonly variables = new Map<string, Value | undefined>();

  constructor(
    private readonly parent: Environment | null,
    unset: readonly string[],
  ) {
    for (const name of unset) this.variables.set(name, undefined);
  }

  set(name: string, value: Value): void {
    this.variables.set(name, value);
  }

  get(name: string): Value {
    for (let scope: Environment | null = this; scope !== null; scope = scope.parent) {
      if (!scope.variables.has(name)) continue;
      const value = scope.variables.get(name);
      return value === undefined ? new Undefined(`'${name}' is undefined`) : value;
    }
    return new Undefined(`'${name}' is undefined`);
  }
}

/** `a, b = value`, the values for so many names. */
export function unpack(value: Value, count: number, budget: Budget): Value[] | undefined {
  const items: Value[] = [];
  for (const item of iterate(value, budget)) {
    if (items.length === count) return undefined;
    items.push(item);
  }
  return items.length === count ? items : undefined;
}
