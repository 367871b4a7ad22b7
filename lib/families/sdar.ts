import { chatMl } from './chat-markers';
import type { Family } from './family';
import { qwenNames } from './names';
import { ownPosition } from './prediction';
import { blocksPreset } from './presets';
import { readQwen3, readQwen3Moe } from './qwen';

/** SDAR: Qwen3 trained on to write blocks, one after another; `block_size` is 4 in all published models. */
export const sdar: Family = {
  name: 'sdar',
  title: 'SDAR',
  modelTypes: ['sdar', 'sdar_moe'],
  names: qwenNames,
  tokens: { mask: 151669, eos: [151645, 151643] },
  preset: blocksPreset({ length: 4, steps: 4, tau: 0.85 }),
  chat: chatMl,
  read(fields) {
    const read = fields.get('model_type') === 'sdar_moe' ? readQwen3Moe : readQwen3;
    return read(fields, { block: fields.size('block_size', 4), prediction: ownPosition });
  },
};
