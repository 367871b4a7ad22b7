import type { Arguments } from './arguments';
import type { Runtime } from './runtime';
import { str } from './text';
import { Markup, type Value } from './values';

/** A filter: its parameters behind the value, as `bind` reads them, and what it does. */
export type Filter = readonly [
  parameters: string,
  run: (value: Value, given: readonly (Value | undefined)[], runtime: Runtime) => Value,
];

/** A filter that reads its arguments itself. */
export type FreeFilter = (value: Value, given: Arguments, runtime: Runtime) => Value;

/** The text of a value; what `safe` marked stays marked. */
export function softText(value: Value, { budget }: Runtime): string {
  const text = str(value, budget);
  budget.spendText(text.length);
  return text;
}

/** Makes a filter of what it does with a text. */
export function textFilter(run: (text: string) => string): Filter {
  return [
    '',
    (value, _, runtime) => {
      const result = run(softText(value, runtime));
      return value instanceof Markup ? new Markup(result) : result;
    },
  ];
}
