export { Trainer } from './trainer';
export type {
  LearningRates,
  Moments,
  OptimizerOptions,
  ParameterGroup,
  SaveOptions,
  StepOptions,
  StepResult,
  TrainedTensor,
  TrainerInfo,
  TrainerOptions,
  TrainingBatch,
  TrainingLosses,
} from './trainer-types';
