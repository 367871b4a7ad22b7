import { strip } from '../python/text';

/** What a filter gives for an answer that it does not match. */
export const invalidAnswer = '[invalid]';

/** A way to read a written answer. */
export interface Filter {
  /** As in the names of scores: `exact_match,NAME`. */
  readonly name: string;
  /** Matches of this are looked for; null leaves the answer as it is. */
  readonly pattern: RegExp | null;
  /** Which match counts. @default 'first' */
  readonly match?: 'first' | 'last';
}

/**
 * The answer that a filter reads: of the chosen match the first group that is not empty, or, with a single group, that
 * group even if empty, without white space around it.
 */
export function applyFilter({ pattern, match = 'first' }: Filter, text: string): string {
  if (pattern === null) return text;
  const matches = [...text.matchAll(new RegExp(pattern.source, 'gu'))];
  const chosen = matches.at(match === 'last' ? -1 : 0);
  if (chosen === undefined) return invalidAnswer;
  const groups = chosen.length > 1 ? chosen.slice(1) : [chosen[0]];
  const found = groups.length === 1 ? (groups[0] ?? '') : groups.find((group) => group);
  return found === undefined ? invalidAnswer : strip(found);
}

/** The text before the first occurrence of a stop, for one stop after the other, as harnesses cut. */
export const cutAtStops = (text: string, stops: readonly string[]): string =>
  stops.reduce((rest, stop) => (stop === '' ? rest : (rest.split(stop, 1)[0] as string)), text);
