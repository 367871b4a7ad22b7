/** The answer must be the right text. */
export interface ExactMatch {
  /** Name of the score. */
  readonly name: 'exact_match';
  /** Removed from both texts, one pattern after the other. */
  readonly ignored: readonly RegExp[];
  /** Whether capital letters equal small ones. */
  readonly ignoreCase: boolean;
}

/** The answer is a program, which is run with the data's tests behind it. */
export interface PassedTests {
  /** Name of the score. */
  readonly name: 'pass_at_1';
}

/** How a written answer is compared with the right one. */
export type Metric = ExactMatch | PassedTests;

/** 1 if both texts are the same after what is to be ignored has been removed, else 0. */
export function exactMatch({ ignored, ignoreCase }: ExactMatch, answer: string, reference: string): number {
  const compared = (text: string) => {
    const kept = ignored.reduce((rest, pattern) => rest.replace(new RegExp(pattern.source, 'gu'), ''), text);
    return ignoreCase ? kept.toLowerCase() : kept;
  };
  return compared(answer) === compared(reference) ? 1 : 0;
}

/** The index of the highest value, the first of equals; NaN counts as higher than anything, as in numpy. */
export function indexOfHighest(values: readonly number[]): number {
  let best = 0;
  for (const [i, value] of values.entries()) {
    const highest = values[best] as number;
    if (Number.isNaN(highest)) break;
    if (Number.isNaN(value) || value > highest) best = i;
  }
  return best;
}
