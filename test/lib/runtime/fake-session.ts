import type { AbortFlag, StepCanvas, StepResult } from '../../../types/native';
import { stepOracle } from '../denoising/step-oracle';

/** A stub of the native flag. */
export class FakeFlag implements AbortFlag {
  aborted = false;
  #listeners: (() => void)[] = [];

  abort(): void {
    this.aborted = true;
    for (const listener of this.#listeners.splice(0)) listener();
  }

  onAbort(listener: () => void): void {
    this.#listeners.push(listener);
  }
}

/** Logits of a canvas, [tokens, vocabulary]. */
export type FakeModel = (tokens: Int32Array) => Float32Array;

/** Synthetic logits that depend on every token of the canvas and on nothing else. */
export function madeUpModel(vocabulary: number, scale = 6): FakeModel {
  return (tokens) => {
    let hash = tokens.length;
    for (const token of tokens) hash = (Math.imul(hash, 0x01000193) ^ (token + 1)) >>> 0;
    const logits = new Float32Array(tokens.length * vocabulary);
    for (let i = 0; i < logits.length; i++) {
      let mixed = Math.imul((hash + Math.imul(i, 0x9e3779b9)) | 0, 0x85ebca6b);
      mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
      mixed = Math.imul(mixed ^ (mixed >>> 16), 0x27d4eb2f);
      logits[i] = (((mixed ^ (mixed >>> 15)) >>> 0) / 2 ** 32) * scale;
    }
    return logits;
  };
}

/** A native session in TypeScript: synthetic logits, scored by the oracle, one step at a time. */
export class FakeSession {
  /** The canvases of every step so far. */
  readonly batches: (readonly StepCanvas[])[] = [];
  /** The attention block of every step. */
  readonly blocks: (number | null)[] = [];
  readonly flags: FakeFlag[] = [];
  /** Called before a step ends; an error that it throws makes the step fail. */
  beforeResult: (canvases: readonly StepCanvas[]) => Promise<void> | void = () => {};
  /** Changes the result of a canvas. */
  alter: (result: StepResult, canvas: StepCanvas) => StepResult = (result) => result;
  active = 0;

  constructor(
    readonly vocabulary: number,
    readonly model: FakeModel = madeUpModel(vocabulary),
  ) {}

  async step(
    canvases: readonly StepCanvas[],
    block: number | null,
    abort: AbortFlag | null,
  ): Promise<StepResult[]> {
    if (++this.active > 1) throw new Error('two steps at once');
    this.batches.push(canvases);
    this.blocks.push(block);
    const flag = abort as FakeFlag;
    this.flags.push(flag);
    try {
      const aborted = new Promise<never>((_, reject) => {
        flag.onAbort(() => reject(Object.assign(new Error('aborted'), { code: 'aborted' })));
      });
      await Promise.race([aborted, this.beforeResult(canvases)]);
      return canvases.map((canvas) => {
        checkContract(canvas);
        return this.alter(stepOracle(this.model(canvas.tokens), this.vocabulary, canvas), canvas);
      });
    } finally {
      this.active--;
    }
  }
}

/** Checks what types/native.d.ts requires of a canvas. */
function checkContract({ tokens, masked, plan }: StepCanvas): void {
  const ascending = (list: Int32Array) => list.every((p, i) => i === 0 || p > (list[i - 1] as number));
  if (masked.length === 0 || !ascending(masked)) throw new TypeError('masked must ascend and not be empty');
  if ((masked.at(-1) as number) >= tokens.length) throw new RangeError('masked is outside the canvas');
  const { eligible } = plan;
  if (eligible !== null && !(ascending(eligible) && eligible.every((p) => masked.includes(p)))) {
    throw new TypeError('eligible must ascend and be part of masked');
  }
  if (Number.isNaN(plan.value) || plan.round < 1) throw new RangeError('value or round');
}
