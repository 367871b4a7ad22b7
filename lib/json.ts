import type { TextFrame, TextResult, TokenFrame, TokenResult } from './types';

/** JSON has no NaN and no infinity. */
const finite = (values: Float32Array) =>
  Array.from(values, (value) => (Number.isFinite(value) ? value : null));

/**
 * A frame or a result as plain JSON data: arrays instead of typed arrays, null for what was not scored, and the seed as
 * a string, since it may take 64 bits (`BigInt(seed)` brings it back).
 */
export function toJSON(value: TokenFrame | TextFrame | TokenResult | TextResult): Record<string, unknown> {
  return 'predicted' in value ? frameJSON(value) : resultJSON(value);
}

function frameJSON(frame: TokenFrame | TextFrame): Record<string, unknown> {
  const { step, steps, forwards, tokens, masked, committed, predicted, confidence, entropy } = frame;
  return {
    step,
    steps,
    forwards,
    tokens: [...tokens],
    masked: [...masked],
    committed: [...committed],
    predicted: Array.from(predicted, (id) => (id < 0 ? null : id)),
    confidence: finite(confidence),
    entropy: finite(entropy),
    ...('text' in frame ? { text: frame.text, written: frame.written } : {}),
  };
}

function resultJSON(result: TokenResult | TextResult): Record<string, unknown> {
  const { tokens, positions, seed, steps, forwards, finishReason } = result;
  return {
    ...('text' in result ? { text: result.text, written: result.written } : {}),
    tokens: [...tokens],
    positions: [...positions],
    seed: String(seed),
    steps,
    forwards,
    finishReason,
  };
}
