import type { Preset } from './family';

/** LLaDA's own sampler, with the block length of its authors' demos. */
export const lladaPreset: Preset = {
  schedule: { type: 'blocks', length: 32, schedule: 'confidence' },
  counts: 'even',
  confidence: 'raw',
  reserveEnd: false,
};

/** The sampler of models that write blocks, each seeing only those before it: all above a threshold, or a fixed share. */
export function blocksPreset({
  length,
  steps,
  tau,
}: {
  readonly length: number;
  /** Steps of a block. */
  readonly steps: number;
  /** A probability. */
  readonly tau: number;
}): Preset {
  return {
    schedule: {
      type: 'blocks',
      length,
      steps,
      from: 'canvas',
      window: 'block',
      schedule: { type: 'threshold', tau, strict: true, atLeast: 'counts' },
    },
    counts: 'even',
    stopAtEos: 'block',
    reserveEnd: false,
  };
}
