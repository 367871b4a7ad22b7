import { expertShares } from './step-report';

/** Steps over which the use of experts is counted. */
const span = 100;

/** An expert with a smaller part of an even share is hardly trained. */
const smallest = 0.1;

/** Notices experts that hardly any row chooses. */
export class ExpertWatch {
  #steps = 0;
  readonly #rows = new Map<number, Float64Array>();
  readonly #told = new Set<number>();

  /** Counts a step; returns warnings, one for each layer at most. */
  add(layers: readonly { readonly layer: number; readonly rows: Float64Array }[]): string[] {
    for (const { layer, rows } of layers) {
      const sums = this.#rows.get(layer) ?? new Float64Array(rows.length);
      rows.forEach((count, expert) => {
        sums[expert] = (sums[expert] as number) + count;
      });
      this.#rows.set(layer, sums);
    }
    if (++this.#steps < span) return [];
    const warnings = [...this.#rows].flatMap(([layer, sums]) => this.#judge(layer, sums));
    this.#steps = 0;
    this.#rows.clear();
    return warnings;
  }

  #judge(layer: number, sums: Float64Array): string[] {
    const idle = expertShares(sums).flatMap((share, expert) => (share < smallest ? [expert] : []));
    // Masked rows are alike in layer 0, and choose the same experts.
    if (idle.length === 0 || layer === 0 || this.#told.has(layer)) return [];
    this.#told.add(layer);
    const which = idle.length === 1 ? `expert ${idle[0]} gets` : `experts ${idle.join(', ')} get`;
    return [
      `in layer ${layer}, ${which} less than a tenth of an even share of the rows: a higher auxCoef balances them`,
    ];
  }
}
