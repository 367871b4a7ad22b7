import type { GenerateOptions, TokenOptions } from '../api/types';
import { quote } from '../support/validate';

/** Options of any call. */
export type GivenOptions = TokenOptions & GenerateOptions;

/**
 * Options that mean nothing to a model that writes from left to right, each token once, and their value without an effect.
 * `steps`, `schedule` and `counts` are not among them: they say how many tokens a step may write, which here is one.
 */
const meaningless = {
  algTemp: 0,
  cfgScale: 0,
  zeroEosConfidence: false,
  zeroConfidence: [],
  editing: null,
  remask: false,
  idleSteps: 'skip',
  addEos: false,
  reserveEnd: false,
  fillPrefix: false,
  predictionShift: 1,
  draws: undefined,
} as const satisfies { readonly [Name in keyof GivenOptions]: GivenOptions[Name] };

/** Throws for options, valid or not, that a causal model cannot follow. */
export function checkCausal(options: GivenOptions): void {
  for (const [name, idle] of Object.entries(meaningless)) {
    const value: unknown = options[name as keyof typeof meaningless];
    const empty = Array.isArray(idle) && (value as ArrayLike<unknown> | undefined)?.length === 0;
    if (value === undefined || value === idle || empty) continue;
    throw new TypeError(
      `${name} cannot be given: the model writes from left to right, each token once, but it is ${quote(value)}`,
    );
  }
}
