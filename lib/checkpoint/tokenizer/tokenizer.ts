import { RND1Error } from '../../support/errors';
import { stringOption } from '../../support/validate';
import { type CheckpointFiles, openCheckpoint } from '../checkpoint-files';
import { quote } from '../format';
import { readVocabulary } from '../vocabulary';
import { checkTokenizerLimits, hasUnknownNormalizer, isBounded, longestToken } from './limits';
import { type Parts, partsOf } from './parts';
import { tryTokenizer } from './text-workers';
import { PartTexts, spelledBytes } from './token-bytes';

type Json = Record<string, unknown>;

/** The sign for a masked position in text. */
export const MASK_SYMBOL = '░';

/** A larger id would make the table of tokens huge. */
const ID_LIMIT = 1 << 24;

/** UTF-16 units that a normalizer may make of a much shorter text. */
const normalizedLimit = 2 ** 20;

/** Options of `Tokenizer.encode`. */
export interface EncodeOptions {
  /**
   * The text continues another one: it gets no space that is put only before the start of a text.
   *
   * @default false
   */
  readonly continues?: boolean;
}

/** Options of `Tokenizer.decode` and `Tokenizer.decodeCanvas`. */
export interface DecodeOptions {
  /** Leave out special tokens such as end of text and padding. @default false */
  readonly skipSpecialTokens?: boolean;
  /**
   * The tokens continue others: a space that is dropped only at the start of a text is kept.
   *
   * @default false
   */
  readonly continues?: boolean;
}

/** Ids of the special tokens that tokenizer_config.json names; undefined if it names none. */
export interface NamedTokens {
  /** End of text. */
  readonly eos?: number;
  /** Padding. */
  readonly pad?: number;
  /** Beginning of text. */
  readonly bos?: number;
  /** Masked position. */
  readonly mask?: number;
}

/**
 * The tokenizer of a checkpoint: tokenizer.json, with tokenizer_config.json if there is one.
 * Text is never cleaned up: encoded text is decoded to the same text, after the tokenizer's own normalization.
 */
export class Tokenizer {
  private constructor(
    private readonly parts: Parts,
    /** One more than the highest token id. */
    readonly size: number,
    /** The special tokens that tokenizer_config.json names. */
    readonly named: NamedTokens,
    /** UTF-16 units of the longest token: no text has fewer tokens than its length over this. */
    readonly longestToken: number,
    /** @hidden Whether `encode` takes well under a second for texts of a few thousand characters. */
    readonly isBounded: boolean,
  ) {}

  /**
   * Reads the tokenizer of a folder, or of a GGUF file; null if it has none. Throws `invalid_checkpoint`, naming the file, if it
   * cannot be used, if token ids are not below the model's `vocabulary`, if tokens and ids contradict each other, or if
   * it might block the process: a normalizer with regular expressions is tried in a worker thread first, with a time
   * limit. `warn` is called for contradictions that leave the tokens clear (docs/checkpoints.md).
   */
  static async load(
    folder: string,
    vocabulary?: number,
    warn: (message: string) => void = () => {},
  ): Promise<Tokenizer | null> {
    const files = await openCheckpoint(stringOption('folder', folder));
    return Tokenizer.#read(files, vocabulary, warn, tryTokenizer);
  }

  /** @hidden `load` of a checkpoint that is open. */
  static async from(
    files: CheckpointFiles,
    vocabulary: number,
    warn: (message: string) => void,
  ): Promise<Tokenizer | null> {
    return Tokenizer.#read(files, vocabulary, warn, tryTokenizer);
  }

  /** @hidden `load` in a worker thread, whose owner sets a timeout. */
  static async loadHere(folder: string, vocabulary?: number): Promise<Tokenizer | null> {
    return Tokenizer.#read(
      await openCheckpoint(folder),
      vocabulary,
      () => {},
      async () => {},
    );
  }

  static async #read(
    files: CheckpointFiles,
    vocabulary = ID_LIMIT,
    warn: (message: string) => void,
    tryOut: typeof tryTokenizer,
  ): Promise<Tokenizer | null> {
    const folder = files.place;
    const path = files.pathOf('tokenizer.json');
    const definition = await files.readJson('tokenizer.json', warn);
    if (definition === null) return null;
    const configPath = files.pathOf('tokenizer_config.json');
    const config = (await files.readJson('tokenizer_config.json', warn)) ?? {};
    try {
      const { added, size } = readVocabulary(definition, config, vocabulary, (text) =>
        warn(`${folder}: ${text}`),
      );
      const complete = { ...definition, added_tokens: [...added] };
      checkTokenizerLimits(complete, config);
      if (hasUnknownNormalizer(complete)) await tryOut(folder, vocabulary);
      const parts = partsOf(complete, config, path);
      const named = namedTokens(parts, config, (text) => warn(`${configPath}: ${text}`));
      return new Tokenizer(parts, size, named, longestToken(complete), isBounded(complete));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new RND1Error('invalid_checkpoint', `${path} cannot be used: ${reason}`, { cause: error });
    }
  }

  /**
   * The token ids of a text; no special tokens are added, those written out in the text are recognised. It blocks this
   * thread for as long as the checkpoint's patterns take: if that may be long, the methods of `DiffusionLM` encode in a worker
   * thread, with a time limit.
   */
  encode(text: string, { continues = false }: EncodeOptions = {}): Int32Array {
    stringOption('text', text);
    const { steps, added } = this.parts;
    const ids: number[] = [];
    added.plain.split(text).forEach((section, i) => {
      if (section.id !== null) {
        ids.push(section.id);
        return;
      }
      const { normalizer } = continues && i === 0 ? steps.within : steps.start;
      const normalized = normalizer === null ? section.text : normalizer(section.text);
      if (normalized.length > Math.max(normalizedLimit, 8 * section.text.length)) {
        throw new RangeError(
          `the tokenizer normalizes ${section.text.length} characters to ${normalized.length}`,
        );
      }
      added.normalized.split(normalized).forEach((piece, j) => {
        if (piece.id !== null) ids.push(piece.id);
        else this.#encodePiece(piece.text, i === 0 && j === 0, continues, ids);
      });
    });
    return Int32Array.from(ids);
  }

  /** The text of token ids. Ids without a token have no text; bytes that are not UTF-8 become U+FFFD. */
  decode(ids: ArrayLike<number>, options: DecodeOptions = {}): string {
    const { implementation, anchor } = this.parts;
    const known = Array.from(ids).filter((id) => implementation.id_to_token(id) !== undefined);
    if (known.length === 0) return '';
    const decode = (list: number[]) =>
      implementation.decode(list, {
        skip_special_tokens: options.skipSpecialTokens ?? false,
        clean_up_tokenization_spaces: false,
      });
    if (options.continues !== true || anchor === null) return decode(known);
    return decode([anchor, ...known]).slice(decode([anchor]).length);
  }

  /**
   * The text of a canvas, with `░` for every masked position (`masked[i]` ≠ 0). The pieces between them are
   * decoded separately, so an incomplete character shows as U+FFFD.
   */
  decodeCanvas(tokens: Int32Array, masked: Uint8Array, options: DecodeOptions = {}): string {
    if (tokens.length !== masked.length) {
      throw new RangeError(`masked has ${masked.length} entries, tokens ${tokens.length}`);
    }
    let text = '';
    let start = 0;
    for (let end = 0; end <= tokens.length; end++) {
      if (end < tokens.length && masked[end] === 0) continue;
      const continues = options.continues === true || start > 0;
      text += this.decode(tokens.subarray(start, end), { ...options, continues });
      if (end < tokens.length) text += MASK_SYMBOL;
      start = end + 1;
    }
    return text;
  }

  /** The id of a token as tokenizer.json spells it; undefined when there is none. */
  idOf(token: string): number | undefined {
    return tokenId(this.parts, token);
  }

  /**
   * The UTF-8 bytes of a token, maybe a part of a character, by default as if it continues others; null for an id
   * without a token.
   */
  bytesOf(id: number, { continues = true }: Pick<DecodeOptions, 'continues'> = {}): Uint8Array | null {
    const token = this.parts.implementation.id_to_token(id);
    if (token === undefined) return null;
    const text = this.decode([id], { continues });
    const bytes = text.includes('\uFFFD') ? spelledBytes(token) : null;
    return bytes ?? Uint8Array.from(Buffer.from(text));
  }

  /**
   * The texts of adjacent parts of a canvas, which joined are the text of all of them: part i ends before position
   * `ends[i]` of `tokens`. A character that spans parts belongs to the one it begins in.
   */
  decodeParts(
    tokens: Int32Array,
    masked: Uint8Array,
    ends: readonly number[],
    { continues = false }: Pick<DecodeOptions, 'continues'> = {},
  ): string[] {
    const parts = new PartTexts(ends.length);
    let position = 0;
    ends.forEach((end, part) => {
      for (; position < end; position++) {
        const id = tokens[position] as number;
        if (masked[position] !== 0) parts.write(part, MASK_SYMBOL);
        else parts.add(part, this.bytesOf(id, { continues: continues || position > 0 }) ?? new Uint8Array());
      }
    });
    parts.flush();
    return parts.texts;
  }

  #encodePiece(text: string, first: boolean, continues: boolean, ids: number[]): void {
    const { implementation, steps, path } = this.parts;
    const { model } = implementation;
    const { preTokenizer } = continues && first ? steps.within : steps.start;
    const texts = preTokenizer === null ? [text] : preTokenizer(text, { section_index: first ? 0 : 1 });
    for (const token of model(texts)) {
      const id = model.tokens_to_ids.get(token) ?? model.unk_token_id;
      if (id === undefined) {
        throw new RND1Error('invalid_checkpoint', `${path} has no id for its token ${quote(token)}`);
      }
      ids.push(id);
    }
  }
}

function tokenId({ addedIds, implementation }: Parts, token: string): number | undefined {
  return addedIds.get(token) ?? implementation.model.tokens_to_ids.get(token);
}

function namedTokens(parts: Parts, config: Json, warn: (message: string) => void): NamedTokens {
  const idOf = (key: string) => {
    const value = config[key] as string | { content?: string } | null | undefined;
    const content = typeof value === 'object' ? value?.content : value;
    if (content === undefined || content === null) return undefined;
    const id = tokenId(parts, content);
    if (id === undefined) warn(`${key} ${quote(String(content))} is no token of tokenizer.json, and ignored`);
    return id;
  };
  return { eos: idOf('eos_token'), pad: idOf('pad_token'), bos: idOf('bos_token'), mask: idOf('mask_token') };
}
