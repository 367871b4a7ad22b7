import type { Tokenizer } from '../checkpoint/tokenizer/tokenizer';

/** Texts of single tokens that follow other tokens; each is decoded once. */
export class TokenTexts {
  readonly #texts = new Map<number, string>();
  readonly #bytes = new Map<number, readonly number[] | null>();

  constructor(private readonly tokenizer: Tokenizer | null) {}

  /** Special tokens literally; '' without a tokenizer; U+FFFD for bytes of an incomplete character. */
  of(id: number): string {
    const known = this.#texts.get(id);
    if (known !== undefined) return known;
    const text = this.tokenizer?.decode([id], { continues: true }) ?? '';
    this.#texts.set(id, text);
    return text;
  }

  /** A token at the start of a text, where it may lose a space. */
  atStart(id: number): string {
    return this.tokenizer?.decode([id]) ?? '';
  }

  /** The UTF-8 bytes of a token, even if they are only part of a character; null for an id without a token. */
  bytesOf(id: number): readonly number[] | null {
    const known = this.#bytes.get(id);
    if (known !== undefined) return known;
    const bytes = this.tokenizer?.bytesOf(id) ?? null;
    const list = bytes === null ? null : [...bytes];
    this.#bytes.set(id, list);
    return list;
  }
}
