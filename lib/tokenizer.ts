import { join } from 'node:path';
import { checkFolder, readJsonObject } from './checkpoint/files';
import { quote } from './checkpoint/format';
import { RND1Error } from './errors';
import { checkTokenizerLimits, hasUnknownNormalizer, isBounded, longestToken } from './tokenizer-limits';
import { stringOption } from './validate';
import { tryTokenizer } from './worker/text-workers';

type Json = Record<string, unknown>;

/** What is used of the class of that package, whose own declarations only ES modules can import. */
interface Implementation {
  encode(
    text: string,
    options: { add_special_tokens: boolean },
  ): { ids: (number | undefined)[]; tokens: string[] };
  decode(
    ids: number[],
    options: { skip_special_tokens: boolean; clean_up_tokenization_spaces: boolean },
  ): string;
  token_to_id(token: string): number | undefined;
  id_to_token(id: number): string | undefined;
  special_tokens: string[];
}

const { Tokenizer: Implementation } = require('@huggingface/tokenizers') as {
  Tokenizer: new (definition: Json, config: Json) => Implementation;
};

/** What stands for a masked position in text. */
export const MASK_SYMBOL = '░';

/** A larger id would make the table of tokens huge. */
const ID_LIMIT = 1 << 24;

/** Options of `Tokenizer.decode` and `Tokenizer.decodeCanvas`. */
export interface DecodeOptions {
  /** Leave out special tokens such as end of text and padding. @default false */
  readonly skipSpecialTokens?: boolean;
}

/** Ids of the special tokens that tokenizer_config.json names; undefined where it names none. */
export interface NamedTokens {
  /** End of text. */
  readonly eos?: number;
  /** Padding. */
  readonly pad?: number;
  /** Beginning of text. */
  readonly bos?: number;
  /** What a masked position holds. */
  readonly mask?: number;
}

/**
 * The tokenizer of a checkpoint: tokenizer.json, with tokenizer_config.json where there is one.
 * Text is never cleaned up: what was encoded is decoded to the same text, after the tokenizer's own normalization.
 */
export class Tokenizer {
  private constructor(
    private readonly implementation: Implementation,
    private readonly path: string,
    /** One more than the highest token id. */
    readonly size: number,
    /** The special tokens that tokenizer_config.json names. */
    readonly named: NamedTokens,
    /** UTF-16 units of the longest token: no text has fewer tokens than its length over that. */
    readonly longestToken: number,
    /** @hidden Whether `encode` takes well under a second for texts of a few thousand characters. */
    readonly isBounded: boolean,
  ) {}

  /**
   * Null when the folder has no tokenizer.json. Throws `invalid_checkpoint`, naming the file, when it cannot be
   * used, when it has token ids that are not below `vocabulary`, the model's, or when it might take the process down:
   * a normalizer with regular expressions is tried in a worker thread first, with a time limit.
   */
  static async load(folder: string, vocabulary?: number): Promise<Tokenizer | null> {
    return Tokenizer.#read(folder, vocabulary, tryTokenizer);
  }

  /** @hidden `load` in a worker thread, which somebody else watches. */
  static async loadHere(folder: string, vocabulary?: number): Promise<Tokenizer | null> {
    return Tokenizer.#read(folder, vocabulary, async () => {});
  }

  static async #read(
    folder: string,
    vocabulary = ID_LIMIT,
    tryOut: typeof tryTokenizer,
  ): Promise<Tokenizer | null> {
    stringOption('folder', folder);
    await checkFolder(folder);
    const path = join(folder, 'tokenizer.json');
    const definition = await readJsonObject(path);
    if (definition === null) return null;
    const config = (await readJsonObject(join(folder, 'tokenizer_config.json'))) ?? {};
    try {
      const complete = { ...definition, added_tokens: addedTokens(definition, config) };
      const size = checkIds(complete, vocabulary);
      checkTokenizerLimits(complete, config);
      if (hasUnknownNormalizer(complete)) await tryOut(folder, vocabulary);
      const implementation = new Implementation(complete, config);
      searchQuickly(implementation);
      const named = namedTokens(implementation, config);
      return new Tokenizer(implementation, path, size, named, longestToken(complete), isBounded(complete));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new RND1Error('invalid_checkpoint', `${path} cannot be used: ${reason}`, { cause: error });
    }
  }

  /**
   * The token ids of a text; no special tokens are added, those written out in the text are recognised. It takes what
   * the checkpoint's patterns take, on this thread: the methods of `RND1` do it in a worker thread, with a time limit,
   * where that may be long.
   */
  encode(text: string): Int32Array {
    stringOption('text', text);
    const { ids, tokens } = this.implementation.encode(text, { add_special_tokens: false });
    const nameless = ids.indexOf(undefined);
    if (nameless !== -1) {
      throw new RND1Error(
        'invalid_checkpoint',
        `${this.path} has no id for its token ${quote(String(tokens[nameless]))}`,
      );
    }
    return Int32Array.from(ids as number[]);
  }

  /** The text of token ids. Ids without a token have no text; bytes that are not UTF-8 become U+FFFD. */
  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    const known = Array.from(ids).filter((id) => this.implementation.id_to_token(id) !== undefined);
    if (known.length === 0) return '';
    return this.implementation.decode(known, {
      skip_special_tokens: options.skipSpecialTokens ?? false,
      clean_up_tokenization_spaces: false,
    });
  }

  /**
   * The text of a canvas, with `░` for every masked position (`masked[i]` ≠ 0). The pieces between them are
   * decoded apart, so a character whose bytes are not all there yet shows as U+FFFD.
   */
  decodeCanvas(tokens: Int32Array, masked: Uint8Array, options: DecodeOptions = {}): string {
    if (tokens.length !== masked.length) {
      throw new RangeError(`masked has ${masked.length} entries, tokens ${tokens.length}`);
    }
    let text = '';
    let start = 0;
    for (let end = 0; end <= tokens.length; end++) {
      if (end < tokens.length && masked[end] === 0) continue;
      text += this.decode(tokens.subarray(start, end), options);
      if (end < tokens.length) text += MASK_SYMBOL;
      start = end + 1;
    }
    return text;
  }

  /** The id of a token as tokenizer.json spells it; undefined when there is none. */
  idOf(token: string): number | undefined {
    return this.implementation.token_to_id(token);
  }
}

/** The class looks for every token of a text in its list of special tokens, which may be long. */
function searchQuickly({ special_tokens }: Implementation): void {
  const contents = new Set(special_tokens);
  Object.defineProperty(special_tokens, 'includes', { value: (token: string) => contents.has(token) });
}

/** Those of tokenizer.json, then those that only tokenizer_config.json has: transformers adds them too. */
function addedTokens(definition: Json, config: Json): Json[] {
  const tokens = [...((definition.added_tokens ?? []) as Json[])];
  const contents = new Set(tokens.map((token) => token.content));
  for (const [id, token] of Object.entries((config.added_tokens_decoder ?? {}) as Record<string, Json>)) {
    if (!contents.has(token.content)) tokens.push({ ...token, id: Number(id) });
  }
  return tokens;
}

/** Throws unless every id is an integer below `vocabulary`; returns the highest plus one. */
function checkIds(definition: Json & { added_tokens: Json[] }, vocabulary: number): number {
  const vocab = (definition.model as Json | undefined)?.vocab ?? {};
  const entries: Iterable<[unknown, unknown]> = Array.isArray(vocab)
    ? vocab.map((piece, id): [unknown, unknown] => [piece, id])
    : Object.entries(vocab);
  const added = definition.added_tokens.map((token): [unknown, unknown] => [token.content, token.id]);
  let size = 0;
  for (const [token, id] of [...entries, ...added]) {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) >= vocabulary) {
      throw new Error(`token ${quote(String(token))} has id ${String(id)}, vocab_size is ${vocabulary}`);
    }
    size = Math.max(size, (id as number) + 1);
  }
  return size;
}

function namedTokens(implementation: Implementation, config: Json): NamedTokens {
  const idOf = (key: string) => {
    const value = config[key] as string | { content?: string } | null | undefined;
    const content = typeof value === 'object' ? value?.content : value;
    return content === undefined ? undefined : implementation.token_to_id(content);
  };
  return { eos: idOf('eos_token'), pad: idOf('pad_token'), bos: idOf('bos_token'), mask: idOf('mask_token') };
}
