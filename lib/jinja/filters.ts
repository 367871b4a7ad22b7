import { type Arguments, bind } from './arguments';
import { collectionFilters, getter } from './collection-filters';
import { fail } from './errors';
import { type Filter, type FreeFilter, softText } from './filter';
import { iterate } from './iteration';
import { toJson } from './json';
import { truth } from './operators';
import { formatPercent } from './percent-format';
import type { Runtime } from './runtime';
import { textFilters } from './text-filters';
import { valueFilters } from './value-filters';
import { Dict, Markup, Stream, Tuple, textOf, typeName, type Value } from './values';

/** The name of a filter or test that is handed over. */
function nameOf(value: Value): string {
  return textOf(value) ?? fail(`a name must be str, not ${typeName(value)}`);
}

function* mapped(value: Value, given: Arguments, runtime: Runtime): Generator<Value> {
  if (!truth(value)) return;
  const run = mapping(given, runtime);
  for (const item of iterate(value, runtime.budget)) yield run(item);
}

/** What `map` does to each item: an attribute of it, or a filter. */
function mapping({ positional, named }: Arguments, runtime: Runtime): (item: Value) => Value {
  const [name, ...rest] = positional;
  if (name === undefined && named.has('attribute')) {
    for (const key of named.keys()) {
      if (key !== 'attribute' && key !== 'default') fail(`Unexpected keyword argument '${key}'`);
    }
    return getter(named.get('attribute'), runtime, named.get('default') ?? null);
  }
  if (name === undefined) return fail('map requires a filter argument');
  return (item) => runtime.filter(nameOf(name), item, { positional: rest, named });
}

function* chosen(value: Value, given: Arguments, runtime: Runtime, byAttribute: boolean, keep: boolean) {
  if (!truth(value)) return;
  const { positional, named } = given;
  const [attribute] = positional;
  if (byAttribute && attribute === undefined) fail('Missing parameter for attribute name');
  const get = byAttribute ? getter(attribute, runtime) : (item: Value) => item;
  const [test, ...rest] = byAttribute ? positional.slice(1) : positional;
  for (const item of iterate(value, runtime.budget)) {
    const of = get(item);
    const holds =
      test === undefined ? truth(of) : runtime.test(nameOf(test), of, { positional: rest, named });
    if (holds === keep) yield item;
  }
}

function choice(byAttribute: boolean, keep: boolean): FreeFilter {
  return (value, given, runtime) => new Stream(chosen(value, given, runtime, byAttribute, keep));
}

function formatted(value: Value, { positional, named }: Arguments, runtime: Runtime): Value {
  const { budget } = runtime;
  if (positional.length > 0 && named.size > 0)
    fail("can't handle positional and keyword arguments at the same time");
  const values = named.size > 0 ? new Dict(named, budget) : new Tuple(positional);
  const text = formatPercent(softText(value, runtime), values, budget, value instanceof Markup);
  return value instanceof Markup ? new Markup(text) : text;
}

const freeFilters: readonly (readonly [string, FreeFilter])[] = [
  ['map', (value, given, runtime) => new Stream(mapped(value, given, runtime))],
  ['select', choice(false, true)],
  ['reject', choice(false, false)],
  ['selectattr', choice(true, true)],
  ['rejectattr', choice(true, false)],
  ['format', formatted],
  ['tojson', (value, given, { budget }) => toJson(value, given, budget)],
];

function bound([name, [parameters, run]]: readonly [string, Filter]): readonly [string, FreeFilter] {
  return [name, (value, given, runtime) => run(value, bind(name, given, parameters), runtime)];
}

/** All filters by name. */
export const filters: ReadonlyMap<string, FreeFilter> = new Map([
  ...[...textFilters, ...collectionFilters, ...valueFilters].map(bound),
  ...freeFilters,
]);
