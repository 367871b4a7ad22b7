import type { TrainEvaluation, TrainStep } from '../../lib/training/events';

/** A step's event, with some fields of one's own. */
export function stepEvent(step: number, fields: Partial<TrainStep> = {}): TrainStep {
  return {
    type: 'step',
    step,
    steps: 1000,
    epoch: step / 100,
    tokens: 4096 * step,
    loss: 2 + 1 / step,
    maskedCrossEntropy: 1 + 1 / step,
    elbo: null,
    lossByTime: [0.5, null],
    aux: 1.25,
    z: 0,
    gradientNorm: 3.5,
    clipped: true,
    applied: true,
    learningRate: 1e-3,
    learningRates: { attention: 1e-3, mlp: 1e-4 },
    expertLoad: [{ layer: 3, min: 0.25, max: 2 }],
    tokensPerSecond: 12_345.6,
    milliseconds: { data: 1, forward: 100, backward: 200, optimizer: 30, total: 332 },
    memoryBytes: 1e9,
    ...fields,
  };
}

/** An evaluation's event. */
export function evaluationEvent(step: number): TrainEvaluation {
  return {
    type: 'evaluation',
    step,
    tokens: 4096 * step,
    maskedCrossEntropy: 1.5,
    loss: 2.5,
    lossByTime: [1, 2],
    milliseconds: 50,
  };
}
