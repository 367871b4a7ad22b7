export { type CheckpointReport, inspectCheckpoint } from './checkpoint/inspect';
export type { ModelConfig } from './config';
export { chooseDevice, type DeviceChoice } from './device';
export { RND1Error, type RND1ErrorCode } from './errors';
export { toJSON } from './json';
export { embeddedFolder, type ModelInfo } from './load';
export { RND1 } from './model';
export { system } from './system';
export { Tokenizer } from './tokenizer';
export type {
  Device,
  DType,
  FillOptions,
  ForwardOptions,
  ForwardOutput,
  GenerateOptions,
  InfillInput,
  InfillOptions,
  LoadOptions,
  LoadProgress,
  SamplingOptions,
  Schedule,
  SimpleSchedule,
  SpecialTokenOptions,
  StepReport,
  Template,
  TextFrame,
  TextResult,
  TokenFrame,
  TokenIds,
  TokenOptions,
  TokenResult,
  UnmaskRequest,
  UnmaskResult,
} from './types';
export { scoreAndUnmask } from './unmask';
