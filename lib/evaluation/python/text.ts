/** What Python's `str.isspace` calls white space; differs from JavaScript's `\s` in U+001C to U+001F, U+0085 and U+FEFF. */
const space = '[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]';
const leading = new RegExp(`^${space}+`, 'u');
const one = new RegExp(`^${space}$`, 'u');

/** Python's `rstrip`. */
export function stripEnd(text: string): string {
  let end = text.length;
  while (end > 0 && one.test(text[end - 1] as string)) end--;
  return text.slice(0, end);
}

/** Python's `strip`. */
export const strip = (text: string): string => stripEnd(text.replace(leading, ''));

/** Python's `len` of a string: code points, not UTF-16 units. */
export function codePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
