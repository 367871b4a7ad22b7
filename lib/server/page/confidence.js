/**
 * Five classes of confidence. Lightness falls and the line under the token grows as the model is less sure, so that
 * the scale can be read without telling its hues apart.
 *
 * @typedef {1 | 2 | 3 | 4 | 5} ConfidenceClass 5 is the highest
 */

/** The classes from sure to unsure, with their lowest probability. */
export const classes = /** @type {const} */ ([
  { level: 5, from: 0.99, label: '≥ 99 %' },
  { level: 4, from: 0.9, label: '90 %' },
  { level: 3, from: 0.7, label: '70 %' },
  { level: 2, from: 0.4, label: '40 %' },
  { level: 1, from: 0, label: 'less' },
]);

/**
 * @param {number} confidence a probability
 * @returns {ConfidenceClass}
 */
export const classOf = (confidence) => classes.find(({ from }) => confidence >= from)?.level ?? 1;

/**
 * `97 %`, `99.98 %`: enough digits to distinguish it from certainty.
 *
 * @param {number} confidence a probability
 */
export function percent(confidence) {
  const value = confidence * 100;
  if (!(value > 0)) return '0 %';
  if (value < 0.1) return '< 0.1 %';
  const digits = value >= 99.5 ? 2 : value < 10 ? 1 : 0;
  // A value below 100 % must not be rounded up to it.
  const rounded = confidence < 1 ? Math.min(Number(value.toFixed(digits)), 99.99) : 100;
  return `${rounded} %`;
}

/** @param {number} nats */
export const nats = (nats) => `${Math.abs(nats) < 0.005 ? '0' : nats.toFixed(2)} nats`;
