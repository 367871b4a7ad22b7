import type { AnsweredDocument } from './options';

/** What the answers of a task have cost, and how they ended. */
export interface EvaluationCosts {
  /** Forward passes of canvases. */
  readonly passes: number;
  /** Tokens of written answers up to their ends, by forward pass; null for choices. */
  readonly tokensPerPass: number | null;
  /** The same of all positions that were unmasked. */
  readonly unmaskedPerPass: number | null;
  /** Share of the written answers that the end of the canvas cut off; null for choices. */
  readonly cut: number | null;
  /** Monte-Carlo error of the mean likelihood: root of the mean of squares over choices; null without one. */
  readonly likelihoodError: number | null;
}

/** The costs of some answers, of one task or of several. */
export function costsOf(answers: readonly AnsweredDocument[]): EvaluationCosts {
  const passes = sum(answers.map((answer) => answer.passes));
  const written = answers.filter(({ output }) => !Array.isArray(output));
  const perPass = (tokens: readonly number[]) => (written.length === 0 ? null : sum(tokens) / passes);
  const errors = answers.flatMap(({ standardErrors = [] }) => standardErrors);
  const known = errors.flatMap((error) => (error === null ? [] : [error ** 2]));
  return {
    passes,
    tokensPerPass: perPass(written.map(({ tokens }) => tokens)),
    unmaskedPerPass: perPass(written.map(({ unmasked }) => unmasked)),
    cut: written.length === 0 ? null : written.filter(({ ended }) => !ended).length / written.length,
    likelihoodError: known.length === 0 ? null : Math.sqrt(sum(known) / known.length),
  };
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
