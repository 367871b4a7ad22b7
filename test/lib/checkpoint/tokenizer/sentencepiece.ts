import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const definition = JSON.parse(
  readFileSync(join(__dirname, '../../..', '..', 'models', 'nano', 'tokenizer.json'), 'utf8'),
);

/** Printable letters are tokens and the other bytes fall back, so that ids stay those of the embedded model's bytes. */
const vocab = Object.fromEntries(
  Array.from({ length: 256 }, (_, byte) => {
    const letter = String.fromCharCode(byte);
    const fallback = `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
    return [byte === 32 ? '▁' : /[\n!-~]/.test(letter) ? letter : fallback, byte];
  }),
);
const bytesAndJoin = [{ type: 'ByteFallback' }, { type: 'Fuse' }];
const space = { type: 'Replace', pattern: { String: '▁' }, content: ' ' };
const base = {
  ...definition,
  normalizer: null,
  pre_tokenizer: null,
  model: { ...definition.model, vocab, merges: [], byte_fallback: true, fuse_unk: true },
};

/** The normalizer puts a space before a text, and the decoder strips it: Llama 2, Mistral. */
export const prepending = {
  ...base,
  normalizer: {
    type: 'Sequence',
    normalizers: [
      { type: 'Prepend', prepend: '▁' },
      { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
    ],
  },
  decoder: {
    type: 'Sequence',
    decoders: [space, ...bytesAndJoin, { type: 'Strip', content: ' ', start: 1, stop: 0 }],
  },
};

/** The pre-tokenizer puts a space before every stretch of text, before the first one, or before none. */
export const metaspace = (prepend_scheme: 'always' | 'first' | 'never') => {
  const step = { type: 'Metaspace', replacement: '▁', prepend_scheme, split: true };
  return {
    ...base,
    pre_tokenizer: step,
    decoder: { type: 'Sequence', decoders: [step, ...bytesAndJoin] },
  };
};
