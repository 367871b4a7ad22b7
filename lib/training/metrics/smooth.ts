/**
 * The exponential moving average of a series without the pull of its start towards 0, as TensorBoard's: factor 0 is the
 * series itself, 0.9 an average over about ten values.
 */
export function smoothed(values: readonly number[], factor: number): number[] {
  const average = new MovingAverage(factor);
  return values.map((value) => average.add(value));
}

/** The average of `smoothed`, value by value. */
export class MovingAverage {
  #sum = 0;
  #weight = 0;

  constructor(private readonly factor: number) {}

  /** Adds a value and returns the average. */
  add(value: number): number {
    const { factor } = this;
    this.#sum = factor * this.#sum + (1 - factor) * value;
    this.#weight = factor * this.#weight + (1 - factor);
    return this.#sum / this.#weight;
  }
}
