import { withoutBrokenEnd } from '../../checkpoint/tokenizer/token-bytes';
import type { Tokenizer } from '../../checkpoint/tokenizer/tokenizer';
import type { Frame } from '../prepared-canvas';

/** A token of an answer that is final. */
export interface AnswerToken {
  readonly id: number;
  readonly position: number;
  /** Log-probability in the step that committed it. */
  readonly logprob: number;
  /** Start in the answer, in characters (code points); inside a character, the start of that character. */
  readonly offset: number;
}

/** The next part of an answer, in order. */
export interface Piece {
  readonly text: string;
  readonly tokens: readonly AnswerToken[];
}

export interface AnswerTextOptions {
  readonly tokenizer: Pick<Tokenizer, 'decode' | 'bytesOf'>;
  /** Positions of the answer, ascending. */
  readonly positions: readonly number[];
  /** Tokens that end the answer. */
  readonly ends: ReadonlySet<number>;
  /** The answer continues a text. */
  readonly continues: boolean;
  /**
   * Strings that end the answer and are not part of it. The one that is complete first counts; of several that end at
   * the same character, the longest.
   */
  readonly stop: readonly string[];
  /** Omit one space at the start, which belongs to the task template's format. */
  readonly skipSpace: boolean;
}

/**
 * Reads the final part of an answer from frames, left to right. Steps commit positions in any order. A token is final
 * once all tokens before it are committed, and text is final once no later byte can change it: incomplete characters
 * wait, and so does text that may become a stop string.
 */
export class AnswerText {
  readonly #options: AnswerTextOptions;
  readonly #logprobs = new Map<number, number>();
  readonly #ids: number[] = [];
  /** Length of the decoded text that was returned. */
  #given = 0;
  #tokensGiven = 0;
  /** Complete characters before the next token to return. */
  #characters = 0;
  /** A token with a text was returned. */
  #begun = false;
  readonly #reader = new TextDecoder('utf-8', { ignoreBOM: true });
  #skipped: number | null;
  #finish: 'stop' | 'length' | null = null;

  constructor(options: AnswerTextOptions) {
    this.#options = options;
    this.#skipped = options.skipSpace ? null : 0;
    if (options.positions.length === 0) this.#finish = 'length';
  }

  /** `stop` after an end token or a stop string, `length` if no position is left; null before the end. */
  get finish(): 'stop' | 'length' | null {
    return this.#finish;
  }

  /** Number of tokens returned so far. */
  get tokens(): number {
    return this.#tokensGiven;
  }

  /** Takes the log-probabilities of a frame whose text may still change. */
  note({ committed, confidence }: Frame): void {
    for (const position of committed) this.#logprobs.set(position, confidence[position] as number);
  }

  /** The text and tokens that became final with a frame; null for none. */
  read(frame: Frame): Piece | null {
    const { positions, ends } = this.#options;
    const { tokens, masked } = frame;
    this.note(frame);
    const before = this.#ids.length;
    while (this.#finish === null) {
      const position = positions[this.#ids.length] as number;
      if (masked[position] === 1) break;
      const id = tokens[position] as number;
      if (ends.has(id)) this.#finish = 'stop';
      else if (this.#ids.push(id) === positions.length) this.#finish = 'length';
    }
    return this.#ids.length > before || this.#finish !== null ? this.#give() : null;
  }

  #give(): Piece | null {
    const decoded = this.#decode(this.#ids.length);
    if (this.#skipped === null) {
      if (decoded === '' && this.#finish === null) return null;
      this.#skipped = decoded.startsWith(' ') ? 1 : 0;
      this.#given = this.#skipped;
    }
    const end = this.#finalLength(decoded);
    const text = decoded.slice(this.#given, end);
    const tokens = this.#tokensUpTo(end, decoded.length);
    this.#given = Math.max(this.#given, end);
    return text === '' && tokens.length === 0 ? null : { text, tokens };
  }

  /** Length of the final text. */
  #finalLength(decoded: string): number {
    const { stop } = this.#options;
    // An incomplete character is decoded as U+FFFD.
    const whole = this.#finish !== null ? decoded : withoutBrokenEnd(decoded);
    const found = firstStop(whole, stop, this.#skipped ?? 0);
    if (found !== null) {
      this.#finish = 'stop';
      return found;
    }
    if (this.#finish !== null) return whole.length;
    return whole.length - Math.max(0, ...stop.map((text) => overlap(whole, text)));
  }

  /** The tokens not returned before whose text is within the first `end` units. */
  #tokensUpTo(end: number, length: number): AnswerToken[] {
    const { positions } = this.#options;
    const count = end === length ? this.#ids.length : this.#tokensWithin(end);
    const first = this.#tokensGiven;
    this.#tokensGiven = Math.max(first, count);
    return this.#ids.slice(first, count).map((id, i) => {
      const position = positions[first + i] as number;
      const bytes = this.#bytesOf(id);
      // The start of a character ends an incomplete one.
      if (bytes.length > 0 && !isContinuation(bytes[0] as number)) this.#count(this.#reader.decode());
      const offset = Math.max(0, this.#characters - (this.#skipped ?? 0));
      this.#count(this.#reader.decode(bytes, { stream: true }));
      return { id, position, logprob: this.#logprobs.get(position) as number, offset };
    });
  }

  #count(text: string): void {
    this.#characters += [...text].length;
  }

  /** The bytes that a token adds to the text: none for a special token. */
  #bytesOf(id: number): Uint8Array {
    const { tokenizer } = this.#options;
    const special = tokenizer.decode([id], { skipSpecialTokens: true, continues: true }) === '';
    if (special) return new Uint8Array();
    const continues = this.#options.continues || this.#begun;
    this.#begun = true;
    return tokenizer.bytesOf(id, { continues }) ?? new Uint8Array();
  }

  /** Number of tokens whose text ends at `end` or before: a binary search, since every probe decodes all of them. */
  #tokensWithin(end: number): number {
    let low = this.#tokensGiven;
    let high = this.#ids.length;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#decode(middle).length <= end) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #decode(count: number): string {
    const { tokenizer, continues } = this.#options;
    return tokenizer.decode(this.#ids.slice(0, count), { skipSpecialTokens: true, continues });
  }
}

/** Whether a UTF-8 byte continues a character. */
const isContinuation = (byte: number) => (byte & 0xc0) === 0x80;

/** Start of the stop string that is complete first, the longest of several; null if there is none. */
function firstStop(text: string, stop: readonly string[], from: number): number | null {
  let best: { start: number; end: number } | null = null;
  for (const each of stop) {
    const start = text.indexOf(each, from);
    if (start === -1) continue;
    const end = start + each.length;
    if (best === null || end < best.end || (end === best.end && start < best.start)) best = { start, end };
  }
  return best?.start ?? null;
}

/** Length of the longest suffix of `text` that is a proper prefix of `stop`, by Knuth, Morris and Pratt. */
function overlap(text: string, stop: string): number {
  const tail = text.slice(-(stop.length - 1) || text.length);
  /** `borders[i]`: length of the longest proper prefix of `stop.slice(0, i + 1)` that is also its suffix. */
  const borders = [0];
  const extended = (length: number, unit: string): number => {
    let known = length;
    while (known > 0 && stop[known] !== unit) known = borders[known - 1] as number;
    return stop[known] === unit ? known + 1 : known;
  };
  for (let i = 1; i < stop.length; i++) borders.push(extended(borders[i - 1] as number, stop[i] as string));
  let length = 0;
  for (const unit of tail.split('')) length = extended(length, unit);
  return length;
}
