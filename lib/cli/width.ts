/**
 * East Asian wide and fullwidth ranges (UAX #11, Unicode 17); emoji are recognised by their property instead. Single code
 * points get the widths of string-width 8, which CommonJS can only load asynchronously.
 */
const wideRanges: readonly (readonly [number, number])[] = [
  [0x1100, 0x115f],
  [0x2329, 0x232a],
  [0x2630, 0x2637],
  [0x268a, 0x268f],
  [0x2e80, 0x303e],
  [0x3040, 0x3247],
  [0x3250, 0xa4cf],
  [0xa960, 0xa97f],
  [0xac00, 0xd7a3],
  [0xf900, 0xfaff],
  [0xfe10, 0xfe19],
  [0xfe30, 0xfe6f],
  [0xff01, 0xff60],
  [0xffe0, 0xffe6],
  [0x16fe0, 0x18dff],
  [0x1aff0, 0x1b2ff],
  [0x1d300, 0x1d356],
  [0x1d360, 0x1d376],
  [0x1f200, 0x1f2ff],
  [0x20000, 0x3fffd],
];

const zeroWidth =
  /^[\p{Nonspacing_Mark}\p{Enclosing_Mark}\p{Default_Ignorable_Code_Point}\p{Control}\p{Format}]+$/u;
const emoji = /\p{Emoji_Presentation}|\p{Extended_Pictographic}\uFE0F|[#*0-9]\uFE0F?\u20E3/u;
const printableAscii = /^[\x20-\x7e]*$/;

const segmenter = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** User-perceived characters of a text, in order. */
export function graphemes(text: string): string[] {
  if (printableAscii.test(text)) return [...text];
  return Array.from(segmenter.segment(text), (part) => part.segment);
}

/** Columns that one grapheme takes in a terminal: 0, 1 or 2. */
export function graphemeWidth(grapheme: string): 0 | 1 | 2 {
  if (grapheme === '' || zeroWidth.test(grapheme)) return 0;
  if (emoji.test(grapheme)) return 2;
  let width = 0;
  // Letters that a script joins into one cluster, and spacing marks, may take a second column but not a third.
  for (const character of grapheme) {
    const code = character.codePointAt(0) as number;
    if (wideRanges.some(([first, last]) => code >= first && code <= last)) return 2;
    if (!zeroWidth.test(character)) width++;
  }
  return width > 1 ? 2 : 1;
}

/** Columns that a text without control characters takes in a terminal. */
export function textWidth(text: string): number {
  if (printableAscii.test(text)) return text.length;
  return graphemes(text).reduce((sum, grapheme) => sum + graphemeWidth(grapheme), 0);
}

/** The text cut to at most `columns` columns; a cut is shown as `…`. */
export function truncate(text: string, columns: number): string {
  if (textWidth(text) <= columns) return text;
  let out = '';
  let width = 0;
  for (const grapheme of graphemes(text)) {
    const next = width + graphemeWidth(grapheme);
    if (next > columns - 1) break;
    out += grapheme;
    width = next;
  }
  return columns > 0 ? `${out}…` : '';
}

/** As many graphemes as fit, at least one. */
function startOf(word: string, columns: number): string {
  const [first = '', ...others] = graphemes(word);
  let head = first;
  let width = graphemeWidth(first);
  for (const grapheme of others) {
    width += graphemeWidth(grapheme);
    if (width > columns) break;
    head += grapheme;
  }
  return head;
}

/** Pads a text with spaces, at its start or end. */
export function pad(text: string, columns: number, side: 'start' | 'end' = 'end'): string {
  const spaces = ' '.repeat(Math.max(0, columns - textWidth(text)));
  return side === 'start' ? spaces + text : text + spaces;
}

/** Wraps a text into lines of at most `columns`, at spaces; longer words are split. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (let word of text.split(' ')) {
    if (line !== '' && textWidth(line) + 1 + textWidth(word) > columns) {
      lines.push(line);
      line = '';
    }
    while (line === '' && textWidth(word) > columns) {
      const head = startOf(word, columns);
      if (head === word) break;
      lines.push(head);
      word = word.slice(head.length);
    }
    line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
