export { readTrainConfig } from './config-file';
export { type ConvertOptions, type ConvertReport, convert, type NamedChoice } from './convert/convert';
export type { MaskChoice } from './convert/mask-token';
export type {
  ExpertLoad,
  NoiseScale,
  StepMilliseconds,
  TrainCheckpoint,
  TrainDone,
  TrainEvaluation,
  TrainEvent,
  TrainStep,
  TrainWarning,
} from './events';
export { type InitializeOptions, type InitializeReport, initialize } from './initialize';
export { type PlotOptions, plot } from './metrics/plot';
export type { PlotValue } from './metrics/plot-values';
export type { Weighting } from './objective';
export type { LearningSchedule } from './schedules';
export { type TokenizeOptions, type TokenizeReport, tokenize } from './tokenize';
export { train } from './train';
export type {
  DataFiles,
  EvaluationOptions,
  ResumeOptions,
  RunControl,
  TrainOptions,
  WeightedFile,
} from './train-types';
export { Trainer } from './trainer';
export type {
  ExpertRows,
  LearningRates,
  Moments,
  OptimizerOptions,
  ParameterGroup,
  SaveOptions,
  SquaredNorms,
  StepOptions,
  StepResult,
  StepTimes,
  TrainedTensor,
  TrainerInfo,
  TrainerOptions,
  TrainingBatch,
  TrainingLosses,
} from './trainer-types';
