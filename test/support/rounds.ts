import type { TokenFrame, UnmaskResult } from '../../lib';
import { maxAbsoluteError } from './tolerance';
import type { Round, Trace } from './traces';

/** How far scores may lie from recorded ones. */
export interface ScoreTolerance {
  readonly confidence: number;
  readonly entropy: number;
}

/** Of f32 arithmetic on numbers of a few units. */
const rounding = 3e-6;

/** What the two errors of a logit can do to a log-probability, and to an entropy of a few nats. */
export function toleranceOf(trace: Trace, logitError: number): ScoreTolerance {
  const { temperature } = trace.resolved;
  // At the reference's 0 every probability is exactly 0 or 1, whatever the logits are.
  const noise = temperature < 1e-6 ? 0 : logitError / temperature;
  return { confidence: 2 * noise + rounding, entropy: 4 * noise + rounding };
}

type Scores = Pick<UnmaskResult, 'predicted' | 'confidence' | 'entropy'>;

/** Compares scores, aligned with the masked positions, with recorded ones; NaN entropies were the reference's own. */
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

/** Compares a frame, its scores and the canvas that it leaves, with the recorded round. */
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

/** The rounds that commit something; of position 0's round nothing, where the reference leaves it undefined. */
export function commitsOf<T extends { readonly step: number; readonly committed: ArrayLike<number> }>(
  rounds: readonly T[],
  trace: Trace,
): (T & { readonly positions: readonly number[] })[] {
  const ignored = trace.position0_step_undefined ? 0 : -1;
  return rounds
    .map((round) => ({ ...round, positions: Array.from(round.committed).filter((p) => p !== ignored) }))
    .filter(({ positions }) => positions.length > 0);
}

/** Forward passes that are needed for the recorded rounds: one for each canvas; rounds that share one share its tokens. */
export function forwardsOf(rounds: readonly Round[]): number {
  return new Set(rounds.filter(({ committed }) => committed.length > 0).map(({ tokens }) => tokens)).size;
}
