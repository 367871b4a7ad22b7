import type { Peaks, Rates } from './rates';

/** An empty cell. */
export const nothing = '–';

/** Three significant digits with a fitting prefix: `14.6 m`. */
function scaled(value: number, unit: string, prefixes: readonly (readonly [number, string])[]): string {
  const [factor, prefix] = prefixes.find(([factor]) => value >= factor) ?? prefixes.at(-1) ?? [1, ''];
  const number = value / factor;
  const digits = number >= 100 ? 0 : number >= 10 ? 1 : 2;
  return `${number.toFixed(digits)} ${prefix}${unit}`;
}

export function formatSeconds(seconds: number): string {
  return scaled(seconds, 's', [
    [1, ''],
    [1e-3, 'm'],
    [1e-6, 'µ'],
    [1e-9, 'n'],
  ]);
}

export function formatOperations(perSecond: number, unit = 'FLOP/s'): string {
  return scaled(perSecond, unit, [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
  ]);
}

export function formatBytes(bytes: number, unit = 'B'): string {
  return scaled(bytes, unit, [
    [1e12, 'T'],
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ]);
}

export function formatShare(share: number): string {
  return share < 0.1 ? `${(share * 100).toFixed(1)} %` : `${Math.round(share * 100)} %`;
}

export function formatPeaks({ copyBytesPerSecond, matrixOperationsPerSecond }: Peaks): string {
  return `copy ${formatBytes(copyBytesPerSecond, 'B/s')}, multiply-adds ${formatOperations(matrixOperationsPerSecond)}`;
}

export const rateColumns = ['rate', 'bytes', 'of copy', 'of matrix'] as const;

/** The cells under `rateColumns`. */
export function rateCells(rates: Rates): string[] {
  const counted = rates.operationsPerSecond > 0;
  return [
    counted ? formatOperations(rates.operationsPerSecond) : nothing,
    formatBytes(rates.bytesPerSecond, 'B/s'),
    formatShare(rates.shareOfCopy),
    counted ? formatShare(rates.shareOfMatrix) : nothing,
  ];
}

/** The cells of a peer's time, and of how many times as long it is as ours. */
export function peerCells(seconds: number, peerSeconds: number | undefined): string[] {
  if (peerSeconds === undefined) return [nothing, nothing];
  return [formatSeconds(peerSeconds), `${(peerSeconds / seconds).toFixed(2)} ×`];
}

/** Cells padded to the width of their columns: the first one left-aligned, the others right-aligned. */
export function padCells(rows: readonly (readonly string[])[]): string[][] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [column, cell] of row.entries())
      widths[column] = Math.max(widths[column] ?? 0, [...cell].length);
  return rows.map((row) =>
    row.map((cell, column) => {
      const width = widths[column] ?? 0;
      return column === 0 ? cell.padEnd(width) : cell.padStart(width);
    }),
  );
}

/** A table of aligned columns. */
export function formatTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  return padCells([header, ...rows])
    .map((line) => line.join('  ').trimEnd())
    .join('\n');
}
