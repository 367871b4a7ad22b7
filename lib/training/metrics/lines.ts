import type { ExpertLoad, TrainEvaluation, TrainStep } from '../events';

/** A line of metrics.jsonl: what a step or an evaluation reports, in snake_case; numbers that are not finite are null. */
export function lineOf(event: TrainStep | TrainEvaluation, time: Date): Record<string, unknown> {
  return event.type === 'step' ? stepLine(event, time) : evaluationLine(event, time);
}

function stepLine(event: TrainStep, time: Date): Record<string, unknown> {
  const { expertLoad, noiseScale } = event;
  return {
    step: event.step,
    epoch: event.epoch,
    tokens: event.tokens,
    loss: event.loss,
    masked_ce: event.maskedCrossEntropy,
    elbo: event.elbo,
    loss_by_t: event.lossByTime,
    aux: event.aux,
    z: event.z,
    grad_norm: event.gradientNorm,
    clipped: event.clipped,
    applied: event.applied,
    learning_rate: event.learningRate,
    lr: event.learningRates,
    expert_load_min: byLayer(expertLoad, 'min'),
    expert_load_max: byLayer(expertLoad, 'max'),
    tokens_per_second: event.tokensPerSecond,
    step_ms: event.milliseconds,
    memory: event.memoryBytes,
    ...(noiseScale === undefined ? {} : { noise_scale: noiseScale }),
    time: time.toISOString(),
  };
}

function evaluationLine(event: TrainEvaluation, time: Date): Record<string, unknown> {
  return {
    step: event.step,
    tokens: event.tokens,
    eval_loss: event.loss,
    eval_masked_ce: event.maskedCrossEntropy,
    eval_loss_by_t: event.lossByTime,
    eval_ms: event.milliseconds,
    time: time.toISOString(),
  };
}

function byLayer(loads: readonly ExpertLoad[], side: 'min' | 'max'): Record<string, number> {
  return Object.fromEntries(loads.map((load) => [load.layer, load[side]]));
}
