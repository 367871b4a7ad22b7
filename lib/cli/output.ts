import type { TextFrame, TextResult, TokenFrame, TokenResult } from '../types';

export type Frame = TokenFrame | TextFrame;
export type Result = TokenResult | TextResult;

/** JSON has no NaN and no infinity. */
const finite = (values: Float32Array) =>
  Array.from(values, (value) => (Number.isFinite(value) ? value : null));

/** What `--json` prints for a step. */
export function frameObject(frame: Frame): object {
  const { step, steps, forwards, tokens, masked, committed, predicted, confidence, entropy } = frame;
  return {
    type: 'step',
    step,
    steps,
    forwards,
    tokens: [...tokens],
    masked: [...masked],
    committed: [...committed],
    predicted: Array.from(predicted, (id) => (id < 0 ? null : id)),
    confidence: finite(confidence),
    entropy: finite(entropy),
    ...('text' in frame ? { text: frame.text } : {}),
  };
}

/** What `--json` prints last. The seed is a string, since it may take 64 bits. */
export function resultObject(result: Result, seconds: number): object {
  const { tokens, positions, seed, steps, forwards, finishReason } = result;
  return {
    type: 'result',
    ...('text' in result ? { text: result.text, written: result.written } : {}),
    tokens: [...tokens],
    positions: [...positions],
    seed: String(seed),
    steps,
    forwards,
    finishReason,
    seconds,
  };
}

/** What `--json` prints last when a signal has ended it: the canvas as it was. */
export function interruptedObject(
  frame: Frame | null,
  positions: readonly number[],
  seconds: number,
): object {
  return {
    type: 'result',
    ...(frame !== null && 'text' in frame ? { text: frame.text } : {}),
    tokens: frame === null ? [] : [...frame.tokens],
    masked: frame === null ? [] : [...frame.masked],
    positions,
    steps: frame?.step ?? 0,
    forwards: frame?.forwards ?? 0,
    finishReason: 'interrupted',
    seconds,
  };
}

/** `23 tokens in 5 forwards, 0.42 s, 54.8 tokens/s, seed 7`. */
export function summary(result: Result, seconds: number): string {
  const count = (n: number, what: string) => `${n} ${what}${n === 1 ? '' : 's'}`;
  const tokens = result.positions.length;
  const rate = seconds > 0 ? `, ${(tokens / seconds).toFixed(1)} tokens/s` : '';
  return `${count(tokens, 'token')} in ${count(result.forwards, 'forward')}, ${seconds.toFixed(2)} s${rate}, seed ${result.seed}`;
}
