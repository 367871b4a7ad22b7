export type { FloatType, NativeConfig, NativeSystem, QuantizedGroup, QuantizedType } from '../types/native';
export { type CheckpointReport, type InspectOptions, inspectCheckpoint } from './checkpoint/inspect';
export type { ManifestTensor } from './checkpoint/manifest';
export type { Quantization } from './checkpoint/quantization';
export type { GenerationDefaults, ModelConfig, SpecialTokens } from './config';
export { chooseDevice, type DeviceChoice } from './device';
export { embeddedFolder } from './embedded';
export { type HubErrorCode, RND1Error, type RND1ErrorCode } from './errors';
export { downloadCheckpoint } from './hub/download';
export { toJSON } from './json';
export type { ModelInfo } from './load';
export { RND1 } from './model';
export { type QuantizeReport, quantizeCheckpoint } from './quantize/quantize';
export { system } from './system';
export { type DecodeOptions, type EncodeOptions, type NamedTokens, Tokenizer } from './tokenizer';
export type {
  Device,
  DownloadOptions,
  DownloadProgress,
  DType,
  FillOptions,
  ForwardOptions,
  ForwardOutput,
  GenerateOptions,
  HubOptions,
  InfillInput,
  InfillOptions,
  LoadOptions,
  LoadProgress,
  LoadRequest,
  QuantizeOptions,
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
