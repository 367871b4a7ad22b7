import type { Budget } from './limits';
import { str } from './text';
import { Markup, type Value } from './values';

const entities: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ["'", '&#39;'],
  ['"', '&#34;'],
]);

/** Text with HTML's special characters escaped; marked text as it is. */
export function escapeText(value: Value, budget: Budget): string {
  return value instanceof Markup ? value.text : escapeAll(str(value, budget), budget);
}

export function escapeAll(text: string, budget: Budget): string {
  budget.spendText(text.length * 5);
  return text.replace(/[&<>'"]/g, (character) => entities.get(character) as string);
}
