import type {
  DownloadOptions,
  FillOptions,
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

const sampling: Names<SamplingOptions> = {
  steps: true,
  schedule: true,
  temperature: true,
  topK: true,
  topP: true,
  greedy: true,
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

export const generateNames: Names<GenerateOptions> = {
  ...sampling,
  mode: true,
  maxNewTokens: true,
  addEos: true,
  reserveEnd: true,
  stopAtEos: true,
};

export const infillInputNames: Names<InfillInput> = { prefix: true, suffix: true, length: true };
export const infillNames: Names<InfillOptions> = sampling;
export const fillNames: Names<FillOptions> = { ...sampling, hole: true, tokensPerHole: true };

export const tokenNames: Names<TokenOptions> = {
  ...sampling,
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
  banned: true,
};

export const forwardNames: Names<ForwardOptions> = {
  positions: true,
  hidden: true,
  routing: true,
  forcedExperts: true,
  blockLength: true,
  signal: true,
};

export const unmaskNames: Names<UnmaskRequest> = {
  tokens: true,
  masked: true,
  eligible: true,
  order: true,
  limit: true,
  temperature: true,
  topK: true,
  topP: true,
  greedy: true,
  seed: true,
  round: true,
  banned: true,
};
