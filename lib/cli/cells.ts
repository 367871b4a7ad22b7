import type { TokenFrame } from '../api/types';
import { MASK_SYMBOL } from '../checkpoint/tokenizer/tokenizer';
import { printableText } from '../support/printable';

/** Symbol of a masked position. */
export const MASK = MASK_SYMBOL;

/** A piece of the canvas as it is drawn. */
export interface Cell {
  readonly text: string;
  readonly kind: 'fixed' | 'masked' | 'fresh' | 'filled' | 'special';
}

/** Input of `cellsOf` that does not change from frame to frame. */
export interface CellContext {
  /**
   * Decodes tokens, without special ones; `continues` is false at the start of the canvas. Null without a tokenizer:
   * ids are shown.
   */
  readonly decode: ((tokens: readonly number[], continues: boolean) => string) | null;
  /** 1 = masked at the start. */
  readonly holes: Uint8Array;
}

const replacement = '\uFFFD';
/** UTF-8 takes up to 4 bytes, and a byte-level token holds at least one of them. */
const longestCharacter = 4;

/**
 * Cuts a canvas into pieces to draw, in order. Tokens that hold only part of a character are joined
 * with the following ones if those are unmasked.
 */
export function cellsOf(
  frame: Pick<TokenFrame, 'tokens' | 'masked' | 'committed'>,
  context: CellContext,
): Cell[] {
  const fresh = new Set(frame.committed);
  const kindAt = (position: number): Cell['kind'] => {
    if (frame.masked[position]) return 'masked';
    if (fresh.has(position)) return 'fresh';
    return context.holes[position] ? 'filled' : 'fixed';
  };
  const cells: Cell[] = [];
  const count = frame.tokens.length;
  if (context.decode === null) {
    for (let position = 0; position < count; position++) {
      const kind = kindAt(position);
      const text = kind === 'masked' ? MASK : String(frame.tokens[position]);
      cells.push({ text: position + 1 < count ? `${text} ` : text, kind });
    }
    return cells;
  }
  for (let position = 0; position < count; ) {
    let kind = kindAt(position);
    if (kind === 'masked') {
      cells.push({ text: MASK, kind });
      position++;
      continue;
    }
    const length = characterLength(frame, position, context.decode);
    const tokens = Array.from(frame.tokens.subarray(position, position + length));
    const text = context.decode(tokens, position > 0);
    if (tokens.some((_, i) => fresh.has(position + i))) kind = 'fresh';
    if (text === '') cells.push({ text: '·', kind: kind === 'fresh' ? kind : 'special' });
    else cells.push({ text: printableText(text), kind });
    position += length;
  }
  return cells;
}

/** Number of tokens from `position` that form whole characters; 1 if the unmasked ones do not. */
function characterLength(
  frame: Pick<TokenFrame, 'tokens' | 'masked'>,
  position: number,
  decode: (tokens: readonly number[], continues: boolean) => string,
): number {
  for (let length = 1; length <= longestCharacter; length++) {
    const end = position + length;
    if (end > frame.tokens.length || frame.masked[end - 1]) break;
    const text = decode(Array.from(frame.tokens.subarray(position, end)), position > 0);
    if (!text.includes(replacement)) return length;
  }
  return 1;
}
