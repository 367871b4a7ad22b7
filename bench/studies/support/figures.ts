import { estimateMean } from '../../../lib/evaluation/scoring/aggregates';

export const mean = (values: readonly number[]): number => estimateMean(values).value;

/** Of the mean; 0 of one value. */
export const standardError = (values: readonly number[]): number => estimateMean(values).standardError ?? 0;

/** The mean of shares, in percent. */
export const percent = (shares: readonly number[]): string => (100 * mean(shares)).toFixed(1);

export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}
