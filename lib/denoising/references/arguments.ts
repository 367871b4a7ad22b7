import type { TokenIds, TokenOptions } from '../../api/types';
import {
  booleanOption,
  integerOption,
  numberOption,
  optionsObject,
  quote,
  tokenList,
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
    const list = tokenList(`args.${name}`, this.#given[name] as TokenIds, 2 ** 31 - 1);
    return { [as]: [...list] } as unknown as { [key in Name]?: readonly number[] };
  }

  /** A probability of which 0 means the smallest: as a bound that everything reaches, or a share that one token has. */
  probability(name: string, fallback: number): number {
    return Math.max(this.number(name, fallback, 0, 1), 2 ** -126);
  }

  /** Refuses a mask that hides anything: prompts have no padding here. */
  allOnes(name: string): void {
    if (!this.has(name)) return;
    const isOnes = (value: unknown): boolean =>
      isList(value) ? Array.from(value).every(isOnes) : value === 1 || value === 1n || value === true;
    const given = this.#given[name];
    if (isList(given) && isOnes(given)) return;
    throw new TypeError(
      `args.${name} must be a list of ones, since prompts have no padding, not ${quote(given)}`,
    );
  }
}

const isList = (value: unknown): value is ArrayLike<unknown> =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && 'length' in value);

/** What all references have in common: the canvas is the prompt and the masks, and only the mask token has a meaning. */
export const bare = {
  reserveEnd: false,
  bosTokenId: null,
  padTokenId: null,
  stopAtEos: false,
  remask: true,
} as const satisfies TokenOptions;
