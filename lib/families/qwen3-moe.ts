import { chatMl } from './chat-markers';
import type { Family } from './family';
import { qwenNames } from './names';
import { nextPosition } from './prediction';
import { readQwen3Moe } from './qwen';

/** Qwen3-30B-A3B: what RND1 was made from. */
export const qwen3Moe: Family = {
  name: 'qwen3-moe',
  title: 'Qwen3-MoE',
  modelTypes: ['qwen3_moe'],
  names: qwenNames,
  tokens: {},
  preset: { reserveEnd: false },
  chat: chatMl,
  read: (fields) => readQwen3Moe(fields, { block: 1, prediction: nextPosition }),
};
