import { fail } from './errors';
import { Budget, defaultLimits } from './limits';
import { Dict, type Value } from './values';

/** How deeply variables may nest. */
const maxDepth = 200;

/** Makes JSON's values those of templates, and measures them. */
export class Input {
  /** Characters, and eight for each value. */
  length = 0;
  private depth = 0;
  private readonly budget = new Budget(
    { ...defaultLimits, steps: Number.POSITIVE_INFINITY, textLength: 2 ** 29 },
    0,
  );

  value(given: unknown): Value {
    this.length += 8;
    if (given === null || typeof given === 'boolean') return given;
    if (typeof given === 'string') {
      this.length += given.length;
      return given;
    }
    if (typeof given === 'bigint') return given;
    // JSON does not tell 3 from 3.0: whole numbers are integers.
    if (typeof given === 'number') return Number.isInteger(given) ? BigInt(given) : given;
    if (typeof given !== 'object') return fail(`a variable cannot be a ${typeof given}`);
    if (++this.depth > maxDepth) fail('the variables nest too deeply');
    const value = Array.isArray(given) ? given.map((item: unknown) => this.value(item)) : this.dict(given);
    this.depth--;
    return value;
  }

  private dict(given: object): Dict {
    const pairs: (readonly [Value, Value])[] = [];
    for (const [key, value] of Object.entries(given)) {
      if (value !== undefined) pairs.push([this.value(key), this.value(value)]);
    }
    return new Dict(pairs, this.budget);
  }
}
