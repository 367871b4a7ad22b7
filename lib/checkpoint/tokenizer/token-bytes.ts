/** The bytes that a token's spelling stands for: `<0xE4>`, or a letter for each byte; null for neither. */
export function spelledBytes(token: string): Uint8Array | null {
  const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
  if (byte !== null) return Uint8Array.of(Number.parseInt(byte[1] as string, 16));
  const bytes = Array.from(token, (letter) => bytesOfLetters.get(letter));
  return bytes.includes(undefined) ? null : Uint8Array.from(bytes as number[]);
}

/** Byte-level tokens spell a visible byte of Latin-1 as itself, the others as letters from U+0100 on. */
const bytesOfLetters: ReadonlyMap<string, number> = (() => {
  const letters = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const visible = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
    letters.set(String.fromCharCode(visible ? byte : next++), byte);
  }
  return letters;
})();

/**
 * Decodes the bytes of tokens in order and assigns each character to the part of a text with its first byte. Bytes that
 * are not UTF-8 become U+FFFD, so that all parts joined are the text of all bytes.
 */
export class PartTexts {
  /** The text of each part. */
  readonly texts: string[];
  readonly #decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  /** The part that an unfinished character began in, and its bytes up to now. */
  #open: { readonly part: number; readonly bytes: readonly number[] } | null = null;

  constructor(parts: number) {
    this.texts = new Array<string>(parts).fill('');
  }

  /** Adds bytes to a part; parts must come in order. */
  add(part: number, bytes: Uint8Array): void {
    const begun = this.#open;
    let text = this.#decoder.decode(bytes, { stream: true });
    if (begun !== null && text !== '') {
      const first = String.fromCodePoint(text.codePointAt(0) as number);
      this.#append(begun.part, first);
      text = text.slice(first.length);
    }
    this.#append(part, text);
    const all = [...(begun?.bytes ?? []), ...bytes];
    const open = all.slice(all.length - unfinished(all));
    if (open.length === 0) this.#open = null;
    else this.#open = { part: begun !== null && open.length > bytes.length ? begun.part : part, bytes: open };
  }

  /** Ends an unfinished character, which becomes U+FFFD. */
  flush(): void {
    const text = this.#decoder.decode();
    if (this.#open !== null) this.#append(this.#open.part, text);
    this.#open = null;
  }

  /** Adds text to a part. */
  write(part: number, text: string): void {
    this.flush();
    this.#append(part, text);
  }

  #append(part: number, text: string): void {
    this.texts[part] += text;
  }
}

/** How many bytes at the end begin an unfinished character. */
function unfinished(bytes: readonly number[]): number {
  for (let count = 1; count <= Math.min(3, bytes.length); count++) {
    const byte = bytes[bytes.length - count] as number;
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const length = byte >= 0xf5 || byte < 0xc2 ? 1 : byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return count < length ? count : 0;
  }
  return 0;
}

/** A text without the U+FFFD at its end: characters whose bytes are not all there yet. */
export function withoutBrokenEnd(text: string): string {
  let end = text.length;
  while (end > 0 && text.charCodeAt(end - 1) === 0xfffd) end--;
  return text.slice(0, end);
}
