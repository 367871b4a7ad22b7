import type { Tokenizer } from '../tokenizer';

/** What single tokens say, each decoded once: as they go on after others. */
export class TokenTexts {
  readonly #texts = new Map<number, string>();
  readonly #bytes = new Map<number, readonly number[] | null>();

  constructor(private readonly tokenizer: Tokenizer | null) {}

  /** Special tokens as they are spelled; '' without a tokenizer; U+FFFD for bytes that are no character alone. */
  of(id: number): string {
    const known = this.#texts.get(id);
    if (known !== undefined) return known;
    const text = this.tokenizer?.decode([id], { continues: true }) ?? '';
    this.#texts.set(id, text);
    return text;
  }

  /** At the start of a text, which may lose a space. */
  atStart(id: number): string {
    return this.tokenizer?.decode([id]) ?? '';
  }

  /** The UTF-8 of a token, be it a part of a character; null for an id without a token. */
  bytesOf(id: number): readonly number[] | null {
    const known = this.#bytes.get(id);
    if (known !== undefined) return known;
    const bytes = this.tokenizer?.bytesOf(id) ?? null;
    const list = bytes === null ? null : [...bytes];
    this.#bytes.set(id, list);
    return list;
  }
}
