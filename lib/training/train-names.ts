import type { ResumeOptions, RunControl, TrainOptions } from './train-types';

const controlNames: Readonly<Record<keyof RunControl, true>> = {
  device: true,
  threads: true,
  recompute: true,
  onProgress: true,
  saveEvery: true,
  saveLimit: true,
  saveDtype: true,
  saveOnlyModel: true,
  logEvery: true,
  tensorBoard: true,
  signal: true,
};

/** Names of `ResumeOptions`. */
export const resumeNames: Readonly<Record<keyof ResumeOptions, true>> = {
  ...controlNames,
  resume: true,
  data: true,
  evaluationData: true,
  steps: true,
  allowChanged: true,
};

/** Names of `TrainOptions`. */
export const trainNames: Readonly<Record<keyof TrainOptions, true>> = {
  ...controlNames,
  model: true,
  output: true,
  data: true,
  steps: true,
  learningRate: true,
  recipe: true,
  objective: true,
  batch: true,
  microBatch: true,
  sequenceLength: true,
  documents: true,
  tokenBytes: true,
  cache: true,
  dtype: true,
  schedule: true,
  optimizer: true,
  weighting: true,
  timeSampling: true,
  complementaryMasks: true,
  minTime: true,
  randomLength: true,
  padLoss: true,
  auxCoef: true,
  auxScope: true,
  zCoef: true,
  seed: true,
  evaluation: true,
  noiseScale: true,
};
