import { quote } from '../format';
import { GgufFields } from './fields';
import type { GgufHeader } from './header';

type Json = Record<string, unknown>;

/** Kinds of tokens. */
const [normal, unknown, control, userDefined] = [1, 2, 3, 4];

const qwenPattern =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const llamaPattern = qwenPattern.replace('\\p{N}|', '\\p{N}{1,3}|');
const bailingPattern =
  "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+";

/** How `tokenizer.ggml.pre` splits texts into words. Qwen's tokenizers compose characters first. */
const splits: ReadonlyMap<string, { readonly pattern: string; readonly composes?: boolean }> = new Map([
  ['qwen2', { pattern: qwenPattern, composes: true }],
  ['llama-bpe', { pattern: llamaPattern }],
  ['llama3', { pattern: llamaPattern }],
  ['bailingmoe', { pattern: bailingPattern }],
  ['bailingmoe2', { pattern: bailingPattern }],
  ['llada-moe', { pattern: bailingPattern }],
]);

/** The files that a vocabulary in metadata stands for. */
export interface GgufTokenizer {
  /** tokenizer.json; null if there is no vocabulary, or none that can be used. */
  readonly definition: Json | null;
  /** tokenizer_config.json. */
  readonly config: Json;
}

/**
 * Makes tokenizer.json and tokenizer_config.json of byte-level BPE in metadata. Other vocabularies are not used, with a
 * warning. Throws `invalid_checkpoint` for lists of wrong types or lengths, naming the file and the key.
 */
export function ggufTokenizer(
  path: string,
  header: GgufHeader,
  warn: (message: string) => void,
): GgufTokenizer {
  const fields = new GgufFields(path, header.metadata);
  const tokens = fields.optionalStrings('tokenizer.ggml.tokens') ?? [];
  const config = configOf(fields, tokens);
  const none = (reason: string) => {
    warn(`${path}: ${reason}: texts need a tokenizer.json beside the file`);
    return { definition: null, config };
  };
  const model = fields.optionalString('tokenizer.ggml.model');
  if (model === undefined || model === 'none') return { definition: null, config };
  if (model !== 'gpt2') return none(`tokenizer.ggml.model ${quote(model)} is not read, only "gpt2"`);
  const pre = fields.optionalString('tokenizer.ggml.pre');
  const split = pre === undefined ? undefined : splits.get(pre);
  if (split === undefined) {
    const known = [...splits.keys()].map(quote).join(', ');
    return none(
      `tokenizer.ggml.pre ${pre === undefined ? 'is missing' : `${quote(pre)} is not one of ${known}`}`,
    );
  }
  const merges = fields.optionalStrings('tokenizer.ggml.merges');
  if (merges === undefined) throw fields.invalid('tokenizer.ggml.merges', 'a list of texts');
  const types = fields.optionalNumbers('tokenizer.ggml.token_type') ?? tokens.map(() => normal);
  if (types.length !== tokens.length) {
    throw fields.invalid(
      'tokenizer.ggml.token_type',
      `a list of ${tokens.length} numbers, one for each token`,
    );
  }
  return {
    definition: { ...definitionOf(tokens, types, split), ...{ model: bpe(tokens, types, merges) } },
    config,
  };
}

function bpe(tokens: readonly string[], types: readonly number[], merges: readonly string[]): Json {
  // Without a prototype, so that a token may be called `__proto__`.
  const vocab: Json = Object.create(null);
  tokens.forEach((token, id) => {
    if (types[id] === normal) vocab[token] ??= id;
  });
  return { type: 'BPE', byte_fallback: false, ignore_merges: false, vocab, merges };
}

function definitionOf(
  tokens: readonly string[],
  types: readonly number[],
  { pattern, composes = false }: { readonly pattern: string; readonly composes?: boolean },
): Json {
  const added = tokens.flatMap((content, id) => {
    const special = types[id] === control || types[id] === unknown;
    if (!special && types[id] !== userDefined) return [];
    return [{ id, content, special, single_word: false, lstrip: false, rstrip: false, normalized: false }];
  });
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false };
  return {
    version: '1.0',
    added_tokens: added,
    normalizer: composes ? { type: 'NFC' } : null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false },
        bytes,
      ],
    },
    post_processor: null,
    decoder: bytes,
  };
}

/** Special tokens by their texts, and the chat template. */
function configOf(fields: GgufFields, tokens: readonly string[]): Json {
  const names = { eos_token: 'eos', pad_token: 'padding', bos_token: 'bos', mask_token: 'mask' };
  const named = Object.entries(names).flatMap(([name, key]) => {
    const id = fields.optionalNumber(`tokenizer.ggml.${key}_token_id`);
    const token = id === undefined ? undefined : tokens[id];
    return token === undefined ? [] : [[name, token]];
  });
  const template = fields.optionalString('tokenizer.chat_template');
  return { ...Object.fromEntries(named), ...(template !== undefined && { chat_template: template }) };
}
