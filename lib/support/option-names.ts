import type {
  ChatMessage,
  ChatOptions,
  DownloadOptions,
  FillOptions,
  ForwardAllOptions,
  ForwardCanvas,
  ForwardOptions,
  GenerateOptions,
  HubOptions,
  InfillInput,
  InfillOptions,
  LoadOptions,
  LoadRequest,
  QuantizeOptions,
  SamplingOptions,
  SpecialTokenIds,
  TokenOptions,
  UnmaskRequest,
} from '../api/types';

/** All property names of an options type; an incomplete list does not compile. */
type Names<T> = Readonly<Record<keyof T, true>>;

export const samplingNames: Names<SamplingOptions> = {
  steps: true,
  schedule: true,
  counts: true,
  temperature: true,
  topK: true,
  topP: true,
  filterOrder: true,
  confidence: true,
  greedy: true,
  algTemp: true,
  cfgScale: true,
  suppressEos: true,
  zeroEosConfidence: true,
  editing: true,
  remask: true,
  idleSteps: true,
  cache: true,
  refresh: true,
  seed: true,
  initialFrame: true,
  signal: true,
};

const hub: Names<HubOptions> = { revision: true, cacheDir: true, token: true, offline: true };

export const downloadNames: Names<DownloadOptions> = { ...hub, onProgress: true, signal: true };

export const specialTokenNames: Names<SpecialTokenIds> = { mask: true, eos: true, pad: true, bos: true };

export const loadNames: Names<LoadOptions> = {
  ...hub,
  device: true,
  dtype: true,
  threads: true,
  mmap: true,
  maxRowsPerStep: true,
  maxCacheBytes: true,
  promptTimeout: true,
  specialTokens: true,
  onProgress: true,
  signal: true,
};

export const loadRequestNames: Names<LoadRequest> = { ...loadNames, model: true };

export const quantizeNames: Names<QuantizeOptions> = {
  dtype: true,
  group: true,
  threads: true,
  shardBytes: true,
  onProgress: true,
  signal: true,
};

const answering: Names<Omit<GenerateOptions, 'mode'>> = {
  ...samplingNames,
  maxNewTokens: true,
  addEos: true,
  reserveEnd: true,
  stopAtEos: true,
};

export const generateNames: Names<GenerateOptions> = { ...answering, mode: true };
export const chatNames: Names<ChatOptions> = { ...answering, templateVariables: true };
export const messageNames: Names<ChatMessage> = { role: true, content: true };

export const infillInputNames: Names<InfillInput> = { prefix: true, suffix: true, length: true };
export const infillNames: Names<InfillOptions> = samplingNames;
export const fillNames: Names<FillOptions> = { ...samplingNames, hole: true, tokensPerHole: true };

export const tokenNames: Names<TokenOptions> = {
  ...samplingNames,
  maskTokenId: true,
  eosTokenId: true,
  padTokenId: true,
  bosTokenId: true,
  prefix: true,
  suffix: true,
  maxNewTokens: true,
  length: true,
  canvas: true,
  masked: true,
  addEos: true,
  reserveEnd: true,
  stopAtEos: true,
  cutAtEos: true,
  banned: true,
  zeroConfidence: true,
  fillPrefix: true,
  predictionShift: true,
  draws: true,
};

export const forwardAllNames: Names<ForwardAllOptions> = { blockLength: true, signal: true };

const forwardResultNames = { positions: true, hidden: true, routing: true, forcedExperts: true } as const;

export const forwardNames: Names<ForwardOptions> = { ...forwardResultNames, ...forwardAllNames };

export const forwardCanvasNames: Names<ForwardCanvas> = { ...forwardResultNames, tokens: true };

export const unmaskNames: Names<UnmaskRequest> = {
  tokens: true,
  masked: true,
  eligible: true,
  order: true,
  limit: true,
  temperature: true,
  topK: true,
  topP: true,
  filterOrder: true,
  confidence: true,
  greedy: true,
  seed: true,
  round: true,
  banned: true,
};
