import { TemplateError } from './errors';

/** What rendering one template may take. */
export interface Limits {
  /** Evaluated expressions, rounds of loops, elements and, at 8 to a step, characters that are made. */
  readonly steps: number;
  /** UTF-16 units of any string, the output included. */
  readonly textLength: number;
  /** How deeply expressions, blocks, calls and printed values may nest in each other. */
  readonly depth: number;
}

export const defaultLimits: Limits = { steps: 3_000_000, textLength: 2 ** 20, depth: 600 };

/** What python's sandbox allows `range` to have. */
export const maxRange = 100_000n;

/** Bits of the largest integer that arithmetic may give. */
const maxIntegerBits = 65_536;

/** Characters that are made for one step. */
const charactersPerStep = 8;

/** Texts may be so many times as long as the input, where that is more than their limit. */
const textPerInput = 2;

/** Steps more for each character of the input: it can be gone over two dozen times. */
const stepsPerInput = 3;

/** Counts what one rendering takes, and ends it where it takes too much. */
export class Budget {
  /** The line that is being worked on, for errors. */
  line = 1;
  private left: number;
  private depth = 0;

  readonly limits: Limits;

  /** `inputLength`: characters of what is rendered; large input may take longer, and give larger texts. */
  constructor(limits: Limits, inputLength: number) {
    this.limits = { ...limits, textLength: Math.max(limits.textLength, textPerInput * inputLength) };
    this.left = limits.steps + inputLength * stepsPerInput;
  }

  /** Must be called before the work is done or the memory taken. */
  spend(steps: number): void {
    // Written so that NaN ends it too.
    if (!(steps <= this.left)) limit('takes too long');
    this.left -= steps;
  }

  /** Before a string of this length is made. */
  spendText(length: number): void {
    if (!(length <= this.limits.textLength)) limit('makes a text that is too long');
    this.spend(length / charactersPerStep);
  }

  /** Before one text is searched for another, which may take their product in the worst case. */
  spendSearch(text: string, wanted: string): void {
    this.spend((text.length / charactersPerStep) * Math.max(1, wanted.length / 64));
  }

  /** Before an integer of this many bits is made. */
  spendBits(bits: number): void {
    if (!(bits <= maxIntegerBits)) limit('makes an integer that is too large');
    this.spend(bits / 64);
  }

  enter(): void {
    if (++this.depth > this.limits.depth) limit('nests too deeply');
    this.spend(1);
  }

  leave(): void {
    this.depth--;
  }

  /** Runs `work` one level deeper. */
  nested<T>(work: () => T): T {
    this.enter();
    try {
      return work();
    } finally {
      this.depth--;
    }
  }
}

function limit(what: string): never {
  throw new TemplateError(`it ${what}`, 'limit');
}
