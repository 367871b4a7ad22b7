import type { Arguments } from './arguments';
import type { Budget } from './limits';
import type { Value } from './values';

/** What filters, tests and functions may use of the rendering that they are a part of. */
export interface Runtime {
  readonly budget: Budget;
  filter(name: string, value: Value, given: Arguments): Value;
  test(name: string, value: Value, given: Arguments): boolean;
  readonly filters: { has(name: string): boolean };
  readonly tests: { has(name: string): boolean };
}
