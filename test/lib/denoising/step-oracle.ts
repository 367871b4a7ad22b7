import type { StepCanvas, StepPlan, StepResult } from '../../../types/native';
import { philox, uniform } from '../../support/philox';

/** The scores of one masked position. */
export interface Score {
  readonly position: number;
  readonly token: number;
  readonly confidence: number;
  readonly entropy: number;
  readonly margin: number;
}

/** −FLT_MAX: worse than any log-probability. */
export const worstConfidence = -(2 - 2 ** -23) * 2 ** 127;

/** Reference step: plain, slow and independent of the kernels. Row i − 1 of `logits` predicts position i. */
export function stepOracle(logits: Float32Array, vocabulary: number, canvas: StepCanvas): StepResult {
  const scores = [...canvas.masked].map((position) => {
    const row = logits.subarray((position - 1) * vocabulary, position * vocabulary);
    return position === 0 ? keepsItself(canvas) : scoreRow(row, position, canvas.plan);
  });
  return {
    committed: selectPositions(scores, canvas.plan),
    predicted: Int32Array.from(scores, ({ token }) => token),
    confidence: Float32Array.from(scores, ({ confidence }) => confidence),
    entropy: Float32Array.from(scores, ({ entropy }) => entropy),
    notFinite: scores.some(({ entropy }) => !Number.isFinite(entropy)),
  };
}

function keepsItself({ tokens }: StepCanvas): Score {
  return { position: 0, token: tokens[0] as number, confidence: worstConfidence, entropy: 0, margin: 0 };
}

/** Prediction, log-probability, entropy and margin of one row, in f64 except for the quotient and the bound. */
export function scoreRow(row: Float32Array, position: number, plan: StepPlan): Score {
  const temperature = Math.fround(Math.max(plan.temperature, 1e-8));
  const banned = new Set(plan.banned);
  const value = (id: number) =>
    banned.has(id) ? Number.NEGATIVE_INFINITY : Math.fround((row[id] as number) / temperature);
  let ids = [...row.keys()].filter((id) => value(id) !== Number.NEGATIVE_INFINITY);
  ids.sort((a, b) => value(b) - value(a) || a - b);
  if (plan.topK > 0) ids = ids.slice(0, plan.topK);
  if (plan.topP > 0 && plan.topP < 1) {
    const law = softmax(ids.map(value));
    let before = 0;
    ids = ids.filter((_, rank) => {
      const stays = rank < 2 || Math.fround(before) <= Math.fround(plan.topP);
      before += law[rank] as number;
      return stays;
    });
  }
  const law = softmax(ids.map(value));
  const key = (rank: number) => {
    const u = uniform(plan.seed, ids[rank] as number, position, plan.round);
    return Math.log(law[rank] as number) - Math.log(-Math.log(u));
  };
  const ranks = [...ids.keys()];
  const chosen = plan.greedy ? 0 : ranks.reduce((best, rank) => (key(rank) > key(best) ? rank : best), 0);
  return {
    position,
    token: ids[chosen] as number,
    confidence: Math.fround(Math.log(law[chosen] as number)),
    entropy: Math.fround(-law.reduce((sum, p) => sum + (p === 0 ? 0 : p * Math.log(p)), 0)),
    margin: Math.fround((law[0] as number) - (law[1] ?? 0)),
  };
}

function softmax(values: readonly number[]): number[] {
  const exponentials = values.map((value) => Math.exp(value - (values[0] as number)));
  const sum = exponentials.reduce((a, b) => a + b, 0);
  return exponentials.map((exponential) => exponential / sum);
}

/** The positions that a plan commits, ascending. Ties go to the lower position. */
export function selectPositions(scores: readonly Score[], plan: StepPlan): Int32Array {
  const eligible = plan.eligible === null ? null : new Set(plan.eligible);
  const ordered = scores
    .filter(({ position }) => eligible === null || eligible.has(position))
    .sort((a, b) => badness(a, plan) - badness(b, plan) || a.position - b.position);
  const chosen = ordered.slice(0, countOf(ordered, plan));
  return Int32Array.from(chosen, ({ position }) => position).sort();
}

function badness(score: Score, plan: StepPlan): number {
  switch (plan.order) {
    case 'entropy':
      return score.entropy;
    case 'confidence':
      return -score.confidence;
    case 'margin':
      return -score.margin;
    case 'random':
      return philox(plan.seed, [0, score.position, plan.round, 1])[0];
  }
}

function countOf(ordered: readonly Score[], { limit, value }: StepPlan): number {
  if (limit === 'keep') return Math.max(0, ordered.length - value);
  if (limit === 'tau') {
    const sure = ordered.filter(({ confidence }) => confidence >= Math.log(value)).length;
    return Math.min(ordered.length, Math.max(1, sure));
  }
  let sum = 0;
  let largest = Number.NEGATIVE_INFINITY;
  let count = 0;
  for (const { entropy } of ordered) {
    sum += entropy;
    largest = Math.max(largest, entropy);
    // The reference's arithmetic: the sum is accumulated in f64 and stored as f32; everything after it is f32.
    if (Math.fround(Math.fround(sum) - largest) <= Math.fround(value)) count++;
  }
  return count;
}
