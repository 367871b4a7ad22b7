import { fail } from './errors';
import type { Budget } from './limits';
import { truth } from './operators';
import { countArgument, textArgument } from './parameters';
import type { Runtime } from './runtime';
import { linesOf } from './string-splits';
import { lengthOf, sliceOf } from './unicode';
import type { Value } from './values';

const space = '\\t\\n\\v\\f\\r ';
const letter = '[\\p{L}_]';
const inWord = '[\\p{L}\\p{N}_!"\'&.,?]';

/** White space, dashes between words, and words, cut behind hyphens that stand between letters. */
const hyphenated = new RegExp(
  `[${space}]+` +
    `|(?<=${inWord})-{2,}(?=[\\p{L}\\p{N}_])` +
    `|[^${space}]+?(?:-(?:(?<=${letter}{2}-)|(?<=${letter}-${letter}-))(?=${letter}-?${letter})` +
    `|(?=[${space}]|$)|(?<=${inWord})(?=-{2,}[\\p{L}\\p{N}_]))`,
  'gu',
);
const plain = new RegExp(`[${space}]+|[^${space}]+`, 'gu');

interface Style {
  readonly width: number;
  readonly breaksWords: boolean;
  readonly breaksAtHyphens: boolean;
}

/** The filter `wordwrap`: each line for itself, as Python's textwrap cuts it. */
export function wrapped(
  text: string,
  [width, breakWords, joint, breakAtHyphens]: readonly (Value | undefined)[],
  { budget }: Runtime,
): string {
  const style: Style = {
    width: typeof width === 'number' ? width : countArgument(width, 79),
    breaksWords: truth(breakWords ?? true),
    breaksAtHyphens: truth(breakAtHyphens ?? true),
  };
  const separator = joint === undefined || joint === null ? '\n' : textArgument(joint, 'wrapstring');
  budget.spend(text.length * 2);
  const lines = linesOf(text, false, budget).flatMap((line) => {
    const parts = wrap(line, style, budget);
    // An empty line stays.
    return parts.length === 0 ? [''] : parts;
  });
  budget.spendText(lines.reduce((length, line) => length + line.length + separator.length, 0));
  return lines.join(separator);
}

function wrap(line: string, style: Style, budget: Budget): string[] {
  if (style.width <= 0) fail(`invalid width ${style.width} (must be > 0)`);
  // The next piece is the last one.
  const pieces = (line.match(style.breaksAtHyphens ? hyphenated : plain) ?? []).reverse();
  const lines: string[] = [];
  while (pieces.length > 0) {
    budget.spend(1);
    const current: string[] = [];
    let length = 0;
    if (lines.length > 0 && isBlank(pieces.at(-1) as string)) pieces.pop();
    for (let next = pieces.at(-1); next !== undefined; next = pieces.at(-1)) {
      if (length + lengthOf(next) > style.width) break;
      current.push(next);
      length += lengthOf(next);
      pieces.pop();
    }
    if (lengthOf(pieces.at(-1) ?? '') > style.width) breakWord(pieces, current, style.width - length, style);
    if (isBlank(current.at(-1) ?? 'x')) current.pop();
    if (current.length > 0) lines.push(current.join(''));
  }
  return lines;
}

function isBlank(piece: string): boolean {
  return piece.trim() === '';
}

function breakWord(pieces: string[], current: string[], room: number, style: Style): void {
  const word = pieces.pop() as string;
  if (!style.breaksWords) {
    if (current.length === 0) current.push(word);
    else pieces.push(word);
    return;
  }
  let end = style.width < 1 ? 1 : room;
  if (!Number.isInteger(end)) fail('a width must be an integer');
  if (style.breaksAtHyphens && lengthOf(word) > end) {
    const head = sliceOf(word, 0, end);
    const hyphen = head.lastIndexOf('-');
    if (hyphen > 0 && /[^-]/.test(head.slice(0, hyphen))) end = lengthOf(head.slice(0, hyphen)) + 1;
  }
  current.push(sliceOf(word, 0, end));
  pieces.push(sliceOf(word, end, lengthOf(word)));
}
