import { fail } from './errors';
import type { Value } from './values';

/** What a call hands over. */
export interface Arguments {
  readonly positional: readonly Value[];
  readonly named: ReadonlyMap<string, Value>;
}

export const noArguments: Arguments = { positional: [], named: new Map() };

/**
 * Arguments in the order of the parameters, undefined where none is given. A name that ends with `?` may be missing;
 * names before `/` must be given in order, as in Python.
 */
export function bind(
  called: string,
  { positional, named }: Arguments,
  parameters: string,
): readonly (Value | undefined)[] {
  const words = parameters.split(' ').filter((word) => word !== '');
  const names = words.filter((word) => word !== '/');
  const orderedOnly = words.indexOf('/');
  if (positional.length > names.length) {
    fail(`${called}() takes at most ${names.length} arguments (${positional.length} given)`);
  }
  const bound: (Value | undefined)[] = names.map((_, i) => positional[i]);
  for (const [name, value] of named) {
    const i = names.findIndex((word) => word.replace('?', '') === name);
    if (i < 0 || i < orderedOnly) fail(`${called}() got an unexpected keyword argument '${name}'`);
    if (i < positional.length) fail(`${called}() got multiple values for argument '${name}'`);
    bound[i] = value;
  }
  names.forEach((name, i) => {
    if (bound[i] === undefined && !name.endsWith('?')) fail(`${called}() misses the argument '${name}'`);
  });
  return bound;
}
