import { withoutBrokenEnd } from '../token-bytes';
import type { Tokenizer } from '../tokenizer';
import type { Frame } from './work';

/** A token of an answer, when it is sure to stay. */
export interface AnswerToken {
  readonly id: number;
  readonly position: number;
  /** log-probability in the step that committed it. */
  readonly logprob: number;
  /** Where it begins in the answer, in characters (code points); in the middle of one, where that one begins. */
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
  /** Tokens that end it. */
  readonly ends: ReadonlySet<number>;
  /** Text comes before it. */
  readonly continues: boolean;
  /**
   * Strings that end it; they are not part of it. Read from left to right, the one that is complete first counts; of those
   * that are complete at once, the longest.
   */
  readonly stop: readonly string[];
  /** Leave out one space at the start, as the task template asks for it. */
  readonly skipSpace: boolean;
}

/**
 * Reads an answer out of frames from left to right, as far as it is final. Steps commit positions in any order; a token
 * is final once all before it are committed, and text is once no later byte can change it: a character whose bytes are
 * not all there waits, and so does what may become a stop string.
 */
export class AnswerText {
  readonly #options: AnswerTextOptions;
  readonly #logprobs = new Map<number, number>();
  readonly #ids: number[] = [];
  /** What was given out of the decoded text. */
  #given = 0;
  #tokensGiven = 0;
  /** Characters that are complete before the next token to give. */
  #characters = 0;
  /** A token with a text was given. */
  #begun = false;
  readonly #reader = new TextDecoder('utf-8', { ignoreBOM: true });
  #skipped: number | null;
  #finish: 'stop' | 'length' | null = null;

  constructor(options: AnswerTextOptions) {
    this.#options = options;
    this.#skipped = options.skipSpace ? null : 0;
    if (options.positions.length === 0) this.#finish = 'length';
  }

  /** Why it is over: an end of text or a stop string, or no position is left; null as long as it is not. */
  get finish(): 'stop' | 'length' | null {
    return this.#finish;
  }

  /** Tokens given so far. */
  get tokens(): number {
    return this.#tokensGiven;
  }

  /** What has become final with a frame; null for nothing. */
  read({ tokens, masked, committed, confidence }: Frame): Piece | null {
    const { positions, ends } = this.#options;
    for (const position of committed) this.#logprobs.set(position, confidence[position] as number);
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

  /** How much of the text is final. */
  #finalLength(decoded: string): number {
    const { stop } = this.#options;
    // A character that lacks bytes is decoded as U+FFFD.
    const whole = this.#finish !== null ? decoded : withoutBrokenEnd(decoded);
    const found = firstStop(whole, stop, this.#skipped ?? 0);
    if (found !== null) {
      this.#finish = 'stop';
      return found;
    }
    if (this.#finish !== null) return whole.length;
    return whole.length - Math.max(0, ...stop.map((text) => overlap(whole, text)));
  }

  /** The tokens whose text lies within the first `end` units, beyond those given before. */
  #tokensUpTo(end: number, length: number): AnswerToken[] {
    const { positions } = this.#options;
    const count = end === length ? this.#ids.length : this.#tokensWithin(end);
    const first = this.#tokensGiven;
    this.#tokensGiven = Math.max(first, count);
    return this.#ids.slice(first, count).map((id, i) => {
      const position = positions[first + i] as number;
      const bytes = this.#bytesOf(id);
      // A new character ends one that lacks bytes.
      if (bytes.length > 0 && !isContinuation(bytes[0] as number)) this.#count(this.#reader.decode());
      const offset = Math.max(0, this.#characters - (this.#skipped ?? 0));
      this.#count(this.#reader.decode(bytes, { stream: true }));
      return { id, position, logprob: this.#logprobs.get(position) as number, offset };
    });
  }

  #count(text: string): void {
    this.#characters += [...text].length;
  }

  /** What a token adds to the text: nothing where it is a special one. */
  #bytesOf(id: number): Uint8Array {
    const { tokenizer } = this.#options;
    const special = tokenizer.decode([id], { skipSpecialTokens: true, continues: true }) === '';
    if (special) return new Uint8Array();
    const continues = this.#options.continues || this.#begun;
    this.#begun = true;
    return tokenizer.bytesOf(id, { continues }) ?? new Uint8Array();
  }

  /** How many tokens have a text that ends at `end` or before: by halves, since every look decodes them all. */
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

/** Whether a byte of UTF-8 goes on with a character. */
const isContinuation = (byte: number) => (byte & 0xc0) === 0x80;

/** Where the stop string begins that is complete first, the longest of several; null where there is none. */
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

/** Length of the longest end of `text` that `stop` begins with, without all of it; by Knuth, Morris and Pratt. */
function overlap(text: string, stop: string): number {
  const tail = text.slice(-(stop.length - 1) || text.length);
  /** `borders[i]`: length of the longest proper beginning of `stop` that its first i + 1 characters end with. */
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
