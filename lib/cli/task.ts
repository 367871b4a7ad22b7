import type { DiffusionLM, TextResult, TokenFrame } from '../index';
import { MASK } from './cells';
import type { Frame, Result } from './output';

/** The generated text, for `generate`; `trim` removes the space that follows `Answer:`. */
export const writtenText = (trim: boolean) => ({
  text: true,
  final: (result: Result) => (result as TextResult).text,
  partial(frame: Frame, positions: readonly number[], { tokenizer }: DiffusionLM) {
    const first = positions[0] as number;
    const end = (positions.at(-1) as number) + 1;
    const [tokens, masked] = [frame.tokens.subarray(first, end), frame.masked.subarray(first, end)];
    return trimmed(
      tokenizer?.decodeCanvas(tokens, masked, { skipSpecialTokens: true, continues: true }) ?? '',
      trim,
    );
  },
});

/** The whole text, for `infill` and `fill`. */
export const wholeText = {
  text: true,
  final: (result: Result) => (result as TextResult).text,
  partial: (frame: Frame) => ('text' in frame ? frame.text : ''),
};

/** Ids of the generated tokens. */
export const writtenTokens = {
  text: false,
  final: ({ tokens, positions }: Result) => Array.from(positions, (position) => tokens[position]).join(','),
  partial: (frame: Frame, positions: readonly number[]) =>
    positions.map((position) => tokenAt(frame, position)).join(','),
};

/** Ids of the whole canvas. */
export const wholeTokens = {
  text: false,
  final: ({ tokens }: Result) => tokens.join(','),
  partial: (frame: Frame) => Array.from(frame.tokens, (_, position) => tokenAt(frame, position)).join(','),
};

const trimmed = (text: string, trim: boolean) => (trim ? text.trimStart() : text);

const tokenAt = ({ tokens, masked }: TokenFrame, position: number) =>
  masked[position] === 1 ? MASK : String(tokens[position]);
