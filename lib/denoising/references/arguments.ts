import type { TokenOptions } from '../../api/types';
import {
  booleanOption,
  integerOption,
  numberOption,
  optionsObject,
  wordOption,
} from '../../support/validate';

/** Arguments of a reference's call, by their Python names. */
export type ReferenceArguments = Readonly<Record<string, unknown>>;

/** Turns the arguments of a reference's call into options. */
export type Reference = (args: Arguments) => TokenOptions;

/** Reads arguments, with the defaults of the reference. None and absent arguments are alike. */
export class Arguments {
  readonly #given: ReferenceArguments;

  /** Throws TypeError for arguments that the reference does not have. */
  constructor(given: ReferenceArguments, names: readonly string[]) {
    const known = Object.fromEntries(names.map((name) => [name, true]));
    this.#given = optionsObject<object>('args', given, known as object) as ReferenceArguments;
  }

  /** Whether an argument is given and not None. */
  has(name: string): boolean {
    return this.#given[name] !== undefined && this.#given[name] !== null;
  }

  /** Whether an argument is given as None. */
  isNone(name: string): boolean {
    return this.#given[name] === null;
  }

  count(name: string, fallback: number, min = 1): number {
    return integerOption(`args.${name}`, this.has(name) ? this.#given[name] : fallback, min, 2 ** 31 - 1);
  }

  number(name: string, fallback: number, min = 0, max = 3.4e38): number {
    return numberOption(`args.${name}`, this.has(name) ? this.#given[name] : fallback, min, max);
  }

  flag(name: string): boolean {
    return booleanOption(`args.${name}`, this.has(name) ? this.#given[name] : undefined, false);
  }

  word<T extends string>(name: string, fallback: T, words: readonly T[]): T {
    return wordOption(`args.${name}`, this.has(name) ? this.#given[name] : fallback, words);
  }

  /** An id under another name, if it is given. */
  id<Name extends string>(name: string, as: Name): { readonly [key in Name]?: number } {
    if (!this.has(name)) return {};
    return { [as]: integerOption(`args.${name}`, this.#given[name], 0, 2 ** 31 - 1) } as {
      [key in Name]?: number;
    };
  }

  /** A list of ids under another name, if it is given. */
  ids<Name extends string>(name: string, as: Name): { readonly [key in Name]?: readonly number[] } {
    if (!this.has(name)) return {};
    return { [as]: this.#given[name] } as { [key in Name]?: readonly number[] };
  }
}

/** What all references have in common: the canvas is the prompt and the masks, and only the mask token has a meaning. */
export const bare = {
  reserveEnd: false,
  bosTokenId: null,
  padTokenId: null,
  stopAtEos: false,
  remask: true,
} as const satisfies TokenOptions;
