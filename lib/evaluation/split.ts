import { stripEnd } from './python/text';

/** How a context and a continuation become tokens. */
export interface SplitOptions {
  /** Text in front of the context, as tokenizers with a beginning-of-text token have it. @default '' */
  readonly prefix?: string;
  /** Tokens behind the continuation, counted as part of it. @default none */
  readonly suffix?: readonly number[];
  /** Longest sequence: tokens of the context are cut off on its left. @default Infinity */
  readonly maxTokens?: number;
}

/** Tokens of a context, and of what follows it. */
export interface SplitTokens {
  /** Those of the context. */
  readonly context: readonly number[];
  /** Those after it. */
  readonly continuation: readonly number[];
}

/**
 * Splits a text into the tokens of its context and of its continuation, as harnesses do: white space at the end of the
 * context belongs to the continuation, and the continuation's tokens are those of the whole text without as many as the
 * context alone has. Tokens that span the border are therefore lost.
 *
 * @param encode the token ids of a text
 */
export function splitTokens(
  encode: (text: string) => ArrayLike<number>,
  context: string,
  continuation: string,
  { prefix = '', suffix = [], maxTokens = Infinity }: SplitOptions = {},
): SplitTokens {
  const given = prefix + context;
  const before = stripEnd(given);
  const contextIds = Array.from(encode(before));
  const whole = [...Array.from(encode(given + continuation)), ...suffix];
  const cut = Math.max(0, whole.length - maxTokens);
  return { context: contextIds.slice(cut), continuation: whole.slice(contextIds.length) };
}
