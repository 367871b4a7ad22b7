import { join } from 'node:path';

// The embedded model's tokens: the 256 bytes, then special ones.

export const nano = join(__dirname, '../..', '..', 'models', 'nano');
export const bytes = (text: string) => [...Buffer.from(text)];
export const eos = 258;
export const mask = 259;
