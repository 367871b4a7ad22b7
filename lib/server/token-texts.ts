import type { Tokenizer } from '../tokenizer';

/** The texts of single tokens, each decoded once. */
export class TokenTexts {
  readonly #texts = new Map<number, string>();

  constructor(private readonly tokenizer: Tokenizer | null) {}

  /** Special tokens as they are spelled; '' without a tokenizer; U+FFFD for bytes that are no character alone. */
  of(id: number): string {
    const known = this.#texts.get(id);
    if (known !== undefined) return known;
    const text = this.tokenizer?.decode([id]) ?? '';
    this.#texts.set(id, text);
    return text;
  }
}
