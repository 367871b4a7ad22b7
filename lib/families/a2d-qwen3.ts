import { chatMl } from './chat-markers';
import type { Family } from './family';
import { qwenNames } from './names';
import { ownPosition } from './prediction';
import { lladaPreset } from './presets';
import { readQwen3 } from './qwen';

/**
 * Qwen3 converted to diffusion by dllm. config.json does not say whether a model was trained with full attention (mdlm)
 * or in blocks (bd3lm), and only the tokenizer names the mask token.
 */
export const a2dQwen3: Family = {
  name: 'a2d-qwen3',
  title: 'A2D-Qwen3',
  modelTypes: ['a2d-qwen3'],
  names: qwenNames,
  tokens: {},
  preset: { ...lladaPreset, counts: 'rounded' },
  chat: chatMl,
  read: (fields) => readQwen3(fields, { block: 0, prediction: ownPosition }),
};
