import type { TextFrame, TextResult, TokenFrame, TokenResult } from '../api/types';

export type Frame = TokenFrame | TextFrame;
export type Result = TokenResult | TextResult;

/** Last line of `--json` after a signal: the unfinished canvas. */
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

/** `23 tokens in 5 forwards, 0.42 s, 54.8 tokens/s, seed 7`; without the seed if nothing was sampled. */
export function summary(result: Result, seconds: number, draws: boolean): string {
  const count = (n: number, what: string) => `${n} ${what}${n === 1 ? '' : 's'}`;
  const tokens = result.positions.length;
  const rate = seconds > 0 ? `, ${(tokens / seconds).toFixed(1)} tokens/s` : '';
  return `${count(tokens, 'token')} in ${count(result.forwards, 'forward')}, ${seconds.toFixed(2)} s${rate}${draws ? `, seed ${result.seed}` : ''}`;
}
