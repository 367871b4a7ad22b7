const heights = '▁▂▃▄▅▆▇█';
/** Values kept; with twice as many, neighbours are averaged. */
const kept = 128;

/** A curve of one row of characters, of all values so far. */
export class Sparkline {
  #values: number[] = [];
  /** Values that one of `#values` is the mean of. */
  #each = 1;
  #sum = 0;
  #count = 0;

  add(value: number): void {
    this.#sum += value;
    this.#count++;
    if (this.#count < this.#each) return;
    this.#values.push(this.#sum / this.#count);
    this.#sum = 0;
    this.#count = 0;
    if (this.#values.length < 2 * kept) return;
    this.#values = means(this.#values, kept);
    this.#each *= 2;
  }

  /** At most `columns` characters, from the lowest to the highest value. */
  text(columns: number): string {
    const values = means(this.#values, columns);
    const min = Math.min(...values);
    const range = Math.max(...values) - min;
    const height = (value: number) =>
      range > 0 ? Math.round(((value - min) / range) * (heights.length - 1)) : 0;
    return values.map((value) => heights[height(value)]).join('');
  }
}

/** At most `count` means of neighbours. */
function means(values: readonly number[], count: number): number[] {
  const parts = Math.min(values.length, Math.floor(count));
  return Array.from({ length: parts }, (_, i) => {
    const some = values.slice(
      Math.floor((i * values.length) / parts),
      Math.floor(((i + 1) * values.length) / parts),
    );
    return some.reduce((sum, value) => sum + value, 0) / some.length;
  });
}
