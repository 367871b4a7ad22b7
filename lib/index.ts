export type {
  Architecture,
  AttentionDescription,
  DenseDescription,
  ExpertsDescription,
  FloatType,
  LayerDescription,
  NativeSystem,
  QuantizedGroup,
  QuantizedType,
  RouterDescription,
} from '../types/native';
export { toJSON } from './api/json';
export type {
  ChatMessage,
  ChatOptions,
  Counts,
  Device,
  DownloadOptions,
  DownloadProgress,
  DType,
  Editing,
  FillOptions,
  ForwardAllOptions,
  ForwardCanvas,
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
  SpecialTokenIds,
  SpecialTokenOptions,
  StepReport,
  StopAtEos,
  Template,
  TextFrame,
  TextResult,
  TokenFrame,
  TokenIds,
  TokenOptions,
  TokenResult,
  UnmaskRequest,
  UnmaskResult,
} from './api/types';
export type { GenerationDefaults, ModelConfig, SpecialTokens } from './checkpoint/config';
export { embeddedFolder } from './checkpoint/embedded';
export { type CheckpointReport, type InspectOptions, inspectCheckpoint } from './checkpoint/inspect';
export type { ManifestTensor } from './checkpoint/manifest';
export type {
  Fp8Quantization,
  IntegerQuantization,
  MixedQuantization,
  Quantization,
  WeightFormat,
} from './checkpoint/quantization';
export {
  type DecodeOptions,
  type EncodeOptions,
  type NamedTokens,
  Tokenizer,
} from './checkpoint/tokenizer/tokenizer';
export type { ReferenceArguments } from './denoising/references/arguments';
export { type ReferenceApi, referenceOptions } from './denoising/references/index';
export { scoreAndUnmask } from './denoising/score-and-unmask';
export { DiffusionLM } from './diffusion-lm';
export {
  type CachedModel,
  type CachedSnapshot,
  type CacheOptions,
  cachedModels,
  removeCachedModel,
} from './hub/cached-models';
export { downloadCheckpoint } from './hub/download';
export type { ModelInfo } from './load';
export { type QuantizeReport, quantizeCheckpoint } from './quantize/quantize';
export { chooseDevice, type DeviceChoice } from './runtime/device';
export { system } from './runtime/system';
export { type HubErrorCode, RND1Error, type RND1ErrorCode } from './support/errors';
