// One build for both module systems: `import` gets the same classes that `require` gets.
import rnd1 from './index.js';

export const {
  cachedModels,
  chooseDevice,
  downloadCheckpoint,
  embeddedFolder,
  inspectCheckpoint,
  quantizeCheckpoint,
  removeCachedModel,
  DiffusionLM,
  referenceOptions,
  RND1Error,
  scoreAndUnmask,
  system,
  toJSON,
  Tokenizer,
} = rnd1;
