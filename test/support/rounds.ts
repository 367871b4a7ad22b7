import type { TokenFrame, UnmaskResult } from '../../lib';
import { maxAbsoluteError } from './tolerance';
import type { Round, Trace } from './traces';

/** Maximum difference between scores and recorded ones. */
export interface ScoreTolerance {
  readonly confidence: number;
  readonly entropy: number;
}

/** Rounding error of f32 arithmetic on numbers of a few units. */
const rounding = 3e-6;

/** Maximum effect of logit errors on both sides on a log-probability, and on an entropy of a few nats. */
export function toleranceOf(trace: Trace, logitError: number): ScoreTolerance {
  const { temperature } = trace.resolved;
  // At the reference's 0 every probability is exactly 0 or 1, whatever the logits are.
  const noise = temperature < 1e-6 ? 0 : logitError / temperature;
  return { confidence: 2 * noise + rounding, entropy: 4 * noise + rounding };
}

type Scores = Pick<UnmaskResult, 'predicted' | 'confidence' | 'entropy'>;

/** Compares scores, aligned with the masked positions, with recorded ones, whose entropies alone may be NaN. */
export function expectScores(actual: Scores, round: Round, tolerance: ScoreTolerance): void {
  expect([...actual.predicted]).toEqual([...round.predicted]);
  expectWithin('confidence', actual.confidence, round.confidence, tolerance.confidence);
  if (round.entropy.some(Number.isNaN)) expect([...actual.entropy].every(Number.isFinite)).toBe(true);
  else expectWithin('entropy', actual.entropy, round.entropy, tolerance.entropy);
}

function expectWithin(what: string, actual: Float32Array, expected: Float32Array, tolerance: number): void {
  const error = maxAbsoluteError(actual, expected);
  if (!(error <= tolerance)) throw new Error(`${what} is ${error} off, more than ${tolerance}`);
}

/** Compares a frame, its scores and the resulting canvas, with the recorded round. */
export function expectFrame(frame: TokenFrame, round: Round, tolerance: ScoreTolerance): void {
  const at = <T extends Int32Array | Float32Array>(values: T) => round.masked.map((p) => values[p] as number);
  const scores = {
    predicted: Int32Array.from(at(frame.predicted)),
    confidence: Float32Array.from(at(frame.confidence)),
    entropy: Float32Array.from(at(frame.entropy)),
  };
  expectScores(scores, round, tolerance);

  const masked = new Set(round.masked);
  const elsewhere = [...round.tokens.keys()].filter((position) => !masked.has(position));
  for (const position of elsewhere) {
    expect(frame.predicted[position]).toBe(-1);
    expect(frame.confidence[position]).toBeNaN();
    expect(frame.entropy[position]).toBeNaN();
  }

  const tokens = [...round.tokens];
  for (const position of frame.committed) {
    tokens[position] = frame.predicted[position] as number;
    masked.delete(position);
  }
  expect([...frame.tokens]).toEqual(tokens);
  expect([...frame.masked]).toEqual(tokens.map((_, position) => (masked.has(position) ? 1 : 0)));
}

/** The rounds that commit something, without position 0 if the reference leaves its round undefined. */
export function commitsOf<T extends { readonly step: number; readonly committed: ArrayLike<number> }>(
  rounds: readonly T[],
  trace: Trace,
): (T & { readonly positions: readonly number[] })[] {
  const ignored = trace.position0_step_undefined ? 0 : -1;
  return rounds
    .map((round) => ({ ...round, positions: Array.from(round.committed).filter((p) => p !== ignored) }))
    .filter(({ positions }) => positions.length > 0);
}

/** Number of forward passes that the recorded rounds need: one per canvas (rounds on one canvas share `tokens`). */
export function forwardsOf(rounds: readonly Round[]): number {
  return new Set(rounds.filter(({ committed }) => committed.length > 0).map(({ tokens }) => tokens)).size;
}
