import type { Tokenizer } from '../../checkpoint/tokenizer/tokenizer';
import type { Cost } from '../metrics';
import type { Frame, Result, Work } from '../prepared-canvas';
import { AnswerText, type Piece } from './answer-text';

/** How an answer is read from its frames. */
export interface Reading {
  readonly stop: readonly string[];
  readonly skipSpace: boolean;
  /** The answer continues a text. */
  readonly continues: boolean;
  /** Committed tokens may be replaced by others: the text is final at the end only. */
  readonly revised: boolean;
}

/** One of the answers of a request. */
export class Answer {
  readonly #text: AnswerText;
  readonly #revised: boolean;
  #steps = 0;

  constructor(
    readonly index: number,
    readonly work: Work,
    tokenizer: Tokenizer,
    reading: Reading,
  ) {
    this.#revised = reading.revised;
    this.#text = new AnswerText({
      tokenizer,
      positions: work.positions,
      ends: work.ends,
      continues: reading.continues,
      stop: reading.stop,
      skipSpace: reading.skipSpace,
    });
  }

  get finish(): 'stop' | 'length' {
    return this.#text.finish ?? 'length';
  }

  get cost(): Cost {
    return {
      promptTokens: this.work.promptTokens,
      completionTokens: this.#text.tokens,
      steps: this.#steps,
    };
  }

  /** Yields the pieces of the answer in order, each as soon as it is final, and releases the canvas at the end. */
  async *pieces(): AsyncGenerator<Piece, void> {
    const { frames, initial } = this.work;
    let last = initial;
    try {
      for (;;) {
        const next: IteratorResult<Frame, Result> = await frames.next();
        if (next.done && !this.#revised) return;
        if (!next.done) {
          last = next.value;
          this.#steps = last.forwards;
          if (this.#revised) {
            this.#text.note(last);
            continue;
          }
        }
        const piece = this.#text.read(last);
        if (piece !== null) yield piece;
        if (next.done || this.#text.finish !== null) return;
      }
    } finally {
      await frames.return(undefined as never);
    }
  }
}

/** A value with the index of the generator that it came from. */
export interface Indexed<T> {
  readonly index: number;
  readonly value: T;
}

/**
 * Merges generators in order of arrival. Each runs at most one value ahead, and all pause while the consumer does.
 */
export async function* merge<T>(
  generators: readonly AsyncGenerator<T, void>[],
): AsyncGenerator<Indexed<T>, void> {
  const pull = async (index: number) => ({
    index,
    result: await (generators[index] as AsyncGenerator<T, void>).next(),
  });
  const pending = new Map(generators.map((_, index) => [index, pull(index)]));
  try {
    while (pending.size > 0) {
      const { index, result } = await Promise.race(pending.values());
      if (result.done) {
        pending.delete(index);
        continue;
      }
      pending.delete(index);
      yield { index, value: result.value };
      pending.set(index, pull(index));
    }
  } finally {
    await Promise.allSettled([...generators.map((generator) => generator.return()), ...pending.values()]);
  }
}
