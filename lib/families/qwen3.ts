import { chatMl } from './chat-markers';
import type { Family } from './family';
import { qwenNames } from './names';
import { nextPosition } from './prediction';
import { readQwen3 } from './qwen';

/** Qwen3's dense models: not a diffusion model, but one that others are made from. */
export const qwen3: Family = {
  name: 'qwen3',
  title: 'Qwen3',
  modelTypes: ['qwen3'],
  names: qwenNames,
  tokens: {},
  preset: { reserveEnd: false },
  chat: chatMl,
  read: (fields) => readQwen3(fields, { block: 1, prediction: nextPosition }),
};
