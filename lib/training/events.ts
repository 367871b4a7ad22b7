import type { ParameterGroup } from './trainer-types';

/** What `train` yields, in order: steps with evaluations, checkpoints and warnings between them, then `done`. */
export type TrainEvent = TrainStep | TrainEvaluation | TrainCheckpoint | TrainWarning | TrainDone;

/** Parts of a step's time, in milliseconds. */
export interface StepMilliseconds {
  /** Reading canvases and drawing masks. */
  readonly data: number;
  /** Forward passes. */
  readonly forward: number;
  /** Cross entropies and backward passes. */
  readonly backward: number;
  /** Norm of the gradients, clipping and AdamW. */
  readonly optimizer: number;
  /** All of it, with what is between the parts. */
  readonly total: number;
}

/** How evenly a layer used its experts: 1 is an even share of the rows. */
export interface ExpertLoad {
  /** From 0. */
  readonly layer: number;
  /** Of the expert with the fewest rows. */
  readonly min: number;
  /** Of the one with the most. */
  readonly max: number;
}

/** The simple noise scale of McCandlish et al. (arXiv 1812.06162), from averages over past steps; null where they say nothing yet. */
export interface NoiseScale {
  /** Batch size at which noise and signal of the gradient are alike, in canvases. */
  readonly canvases: number | null;
  /** The same in tokens. */
  readonly tokens: number | null;
  /** The same in scored positions. */
  readonly scored: number | null;
  /** By group, in canvases. */
  readonly groups: Readonly<Partial<Record<ParameterGroup, number | null>>>;
}

/** One step of the optimizer. */
export interface TrainStep {
  /** Which event it is. */
  readonly type: 'step';
  /** Steps completed in this run, with this one. */
  readonly step: number;
  /** All steps of the run. */
  readonly steps: number;
  /** Passes over the data, with their fraction. */
  readonly epoch: number;
  /** Tokens since the start of the run. */
  readonly tokens: number;
  /** What the gradients are of, before the step. */
  readonly loss: number;
  /** Mean cross entropy of the scored positions in nats; null if none was scored. */
  readonly maskedCrossEntropy: number | null;
  /** Estimated upper bound of nats per token; null for autoregression. */
  readonly elbo: number | null;
  /** Mean cross entropy by mask rate, in ten bins of equal width from 0; null where none was scored; empty for autoregression. */
  readonly lossByTime: readonly (number | null)[];
  /** Load balance of the routers; 0 without experts. */
  readonly aux: number;
  /** Mean squared log-sum-exp of the routers' logits; 0 without experts. */
  readonly z: number;
  /** Before clipping. */
  readonly gradientNorm: number;
  /** Whether clipping made the gradient smaller. */
  readonly clipped: boolean;
  /** false: gradients were not finite, and nothing changed. */
  readonly applied: boolean;
  /** `base` times the schedule. */
  readonly learningRate: number;
  /** Of each group that is trained. */
  readonly learningRates: Readonly<Partial<Record<ParameterGroup, number>>>;
  /** Of layers with experts. */
  readonly expertLoad: readonly ExpertLoad[];
  /** Since the last step. */
  readonly tokensPerSecond: number;
  /** How long it took. */
  readonly milliseconds: StepMilliseconds;
  /** Resident memory of the process. */
  readonly memoryBytes: number;
  /** With `noiseScale` only. */
  readonly noiseScale?: NoiseScale;
}

/** Losses on data that is not trained on: the same canvases and masks each time. */
export interface TrainEvaluation {
  /** Which event it is. */
  readonly type: 'evaluation';
  /** After so many steps. */
  readonly step: number;
  /** Tokens since the start of the run. */
  readonly tokens: number;
  /** Mean cross entropy of the scored positions, in nats. */
  readonly maskedCrossEntropy: number;
  /** Upper bound of nats per token, or the nats per token of autoregression. */
  readonly loss: number;
  /** As in `TrainStep`. */
  readonly lossByTime: readonly (number | null)[];
  /** How long it took. */
  readonly milliseconds: number;
}

/** A checkpoint is on disk. */
export interface TrainCheckpoint {
  /** Which event it is. */
  readonly type: 'checkpoint';
  /** After so many steps. */
  readonly step: number;
  /** The new folder. */
  readonly folder: string;
  /** How long it took. */
  readonly milliseconds: number;
}

/** Something that deserves a look, but does not end the run. */
export interface TrainWarning {
  /** Which event it is. */
  readonly type: 'warning';
  /** After so many steps. */
  readonly step: number;
  /** For people. */
  readonly message: string;
}

/** The end of the run, or of this part of it. */
export interface TrainDone {
  /** Which event it is. */
  readonly type: 'done';
  /** After so many steps. */
  readonly step: number;
  /** All steps of the run. */
  readonly steps: number;
  /** The newest checkpoint. */
  readonly checkpoint: string;
  /** Whether all steps are done; false after an interruption. */
  readonly complete: boolean;
}
