import { toJSON, withJSON } from '../api/json';
import type { TextFrame, TextResult, TokenFrame, TokenResult } from '../api/types';
import type { AnswerCanvas, TextCanvas } from './text-canvas';

/** Opens a text canvas and its frames, none of which is computed yet. */
export type Opening<T extends TextCanvas> = () => Promise<{
  readonly text: T;
  readonly frames: AsyncGenerator<TokenFrame, TokenResult, void>;
  /** Committed tokens may be replaced by others. */
  readonly revised: boolean;
}>;

/** Adds the texts to token frames and to their result. */
export async function* withText(open: Opening<TextCanvas>): AsyncGenerator<TextFrame, TextResult, void> {
  const { text, frames } = await open();
  try {
    for (;;) {
      const next = await frames.next();
      if (next.done) return withJSON({ ...next.value, ...text.finish(next.value.tokens) }, toJSON);
      const { tokens, masked } = next.value;
      const texts = { text: text.render(tokens, masked), written: text.written(tokens, masked) };
      yield withJSON({ ...next.value, ...texts }, toJSON);
    }
  } finally {
    await frames.return(undefined as never);
  }
}

/** Yields the result's text in parts from left to right, each as soon as no later step can change it. */
export async function* settledText(open: Opening<AnswerCanvas>): AsyncGenerator<string, TextResult, void> {
  const { text, frames, revised } = await open();
  try {
    let given = 0;
    for (;;) {
      const next = await frames.next();
      if (next.done) {
        const result = withJSON({ ...next.value, ...text.finish(next.value.tokens) }, toJSON);
        if (result.text.length > given) yield result.text.slice(given);
        return result;
      }
      if (revised) continue;
      const { tokens, masked } = next.value;
      const settled = text.settled(tokens, masked);
      if (settled.length > given) yield settled.slice(given);
      given = Math.max(given, settled.length);
    }
  } finally {
    await frames.return(undefined as never);
  }
}

/** Runs a generator to its end and returns its result; its frames are ignored. */
export async function drain<T>(frames: AsyncGenerator<unknown, T, void>): Promise<T> {
  for (;;) {
    const next = await frames.next();
    if (next.done) return next.value;
  }
}
