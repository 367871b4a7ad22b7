const simple: Readonly<Record<string, string>> = {
  '\\': '\\',
  "'": "'",
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\n': '',
};

const hexDigits: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/**
 * Reads one quoted string of Python that starts at `start`; `'''` and `"""` may span lines.
 *
 * @returns its text, and the position after it
 * @throws SyntaxError if it does not end, or has an escape that is not supported (`\N{…}`) or not valid
 */
export function stringEnd(source: string, start: number): { text: string; end: number } {
  const quote = source[start] as string;
  const delimiter = source.startsWith(quote.repeat(3), start) ? quote.repeat(3) : quote;
  let text = '';
  let at = start + delimiter.length;
  for (;;) {
    if (source.startsWith(delimiter, at)) return { text, end: at + delimiter.length };
    const character = source[at];
    if (character === undefined || (character === '\n' && delimiter.length === 1))
      throw new SyntaxError(`the string that starts at character ${start} does not end`);
    if (character === '\\') {
      const escaped = readEscape(source, at + 1);
      text += escaped.text;
      at = escaped.end;
    } else {
      text += character;
      at++;
    }
  }
}

/** What follows a backslash. An unknown escape keeps it, as in Python. */
function readEscape(source: string, at: number): { text: string; end: number } {
  const character = source[at] ?? '';
  if (character === '\r' && source[at + 1] === '\n') return { text: '', end: at + 2 };
  const known = simple[character];
  if (known !== undefined) return { text: known, end: at + 1 };
  const octal = /^[0-7]{1,3}/.exec(source.slice(at, at + 3))?.[0];
  if (octal !== undefined)
    return { text: String.fromCodePoint(Number.parseInt(octal, 8)), end: at + octal.length };
  if (character === 'N') throw new SyntaxError(`\\N at character ${at - 1} is not supported`);
  const digits = hexDigits[character];
  if (digits === undefined) return { text: `\\${character}`, end: at + 1 };
  const hex = source.slice(at + 1, at + 1 + digits);
  const point = /^[\da-fA-F]+$/.test(hex) && hex.length === digits ? Number.parseInt(hex, 16) : Infinity;
  if (point > 0x10ffff) throw new SyntaxError(`the escape at character ${at - 1} is not valid`);
  return { text: String.fromCodePoint(point), end: at + 1 + digits };
}
