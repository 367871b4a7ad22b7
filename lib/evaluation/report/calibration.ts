import type { EvaluationDocument } from '../tasks/definition';

/** Choices of about the same confidence. */
export interface CalibrationBin {
  /** Mean probability of the most likely choice among all. */
  readonly confidence: number;
  /** Share of right ones. */
  readonly accuracy: number;
  readonly documents: number;
}

/** How far a model's confidence in its choices is from how often it is right. */
export interface Calibration {
  /** Ten bins of equal width; those without documents are left out. */
  readonly bins: readonly CalibrationBin[];
  /** Mean distance of confidence and accuracy over documents. */
  readonly error: number;
  readonly documents: number;
}

const binCount = 10;

/** Calibration of the choices among some samples; null if there are none. */
export function calibrationOf(samples: readonly EvaluationDocument[]): Calibration | null {
  const choices = samples.flatMap((sample) => choiceOf(sample) ?? []);
  if (choices.length === 0) return null;
  const bins = Array.from({ length: binCount }, (_, bin) =>
    choices.filter(({ confidence }) => Math.min(binCount - 1, Math.floor(confidence * binCount)) === bin),
  ).flatMap((own) =>
    own.length === 0
      ? []
      : [
          {
            confidence: mean(own.map(({ confidence }) => confidence)),
            accuracy: mean(own.map(({ right }) => right)),
            documents: own.length,
          },
        ],
  );
  const error = bins.reduce(
    (sum, { confidence, accuracy, documents }) => sum + documents * Math.abs(confidence - accuracy),
    0,
  );
  return { bins, error: error / choices.length, documents: choices.length };
}

/** The probability of the most likely choice, if the choices were all there is, and whether it is right. */
function choiceOf({ resps, acc }: EvaluationDocument): { confidence: number; right: number } | null {
  if (!Array.isArray(resps) || typeof acc !== 'number') return null;
  const likelihoods = resps.map((response) => (response as unknown[][])[0]?.[0]);
  if (likelihoods.length < 2 || !likelihoods.every((value) => typeof value === 'number')) return null;
  const values = likelihoods as number[];
  const highest = Math.max(...values);
  const total = values.reduce((sum, value) => sum + Math.exp(value - highest), 0);
  return { confidence: 1 / total, right: acc };
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
