import type { Arguments } from './arguments';
import type { Signature } from './ast';
import { fail } from './errors';
import type { Budget } from './limits';
import { Dict, Tuple, Undefined, type Value } from './values';

/** What a macro's variables are when it is called; undefined where its default takes over. */
export function bindMacro(
  { name, parameters, uses }: Signature,
  { positional, named }: Arguments,
  budget: Budget,
): ReadonlyMap<string, Value | undefined> {
  const left = new Map(named);
  const bound = new Map<string, Value | undefined>();
  parameters.forEach((parameter, i) => {
    let value = positional[i];
    if (value === undefined) {
      value = left.get(parameter);
      left.delete(parameter);
    }
    bound.set(parameter, value);
  });
  if (uses.caller && !bound.has('caller')) {
    bound.set('caller', left.get('caller') ?? new Undefined('No caller defined'));
    left.delete('caller');
  }
  if (uses.kwargs) bound.set('kwargs', new Dict(left, budget));
  else for (const other of left.keys()) fail(`macro '${name}' takes no keyword argument '${other}'`);
  if (uses.varargs) bound.set('varargs', new Tuple(positional.slice(parameters.length)));
  else if (positional.length > parameters.length) {
    fail(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
  }
  return bound;
}

/** What templates may read of a macro. */
export function macroAttributes({ name, parameters, uses }: Signature): ReadonlyMap<string, Value> {
  return new Map<string, Value>([
    ['name', name],
    ['arguments', new Tuple(parameters)],
    ['catch_kwargs', uses.kwargs],
    ['catch_varargs', uses.varargs],
    ['caller', uses.caller],
    ['explicit_caller', parameters.includes('caller')],
  ]);
}
