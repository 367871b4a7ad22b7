/** Marks that change the direction of the text around them, and can disguise it. */
const direction = '\\u061C\\u200E\\u200F\\u202A-\\u202E\\u2066-\\u2069';
/** Not allowed in names: controls, format characters such as direction marks, line separators, lone surrogates. */
const notInNames = /[\p{Control}\p{Format}\p{Line_Separator}\p{Paragraph_Separator}\p{Surrogate}]/gu;
/** Not allowed in text, which may contain joiners of emoji and scripts, simple direction marks, newlines and tabs. */
const notInText = /(?![\n\t])\p{Control}|[\u202A-\u202E\u2066-\u2069]/gu;
/** Not allowed in messages, in addition: direction marks that text may contain, and line separators except newlines. */
const notInMessages = /[\u061C\u200E\u200F\u2028\u2029]/g;
const notInJson = new RegExp(`[\\u007F-\\u009F\\u2028\\u2029${direction}]`, 'g');

/** A control character as a visible symbol; U+FFFD if it has none. */
function visible(character: string): string {
  const code = character.charCodeAt(0);
  if (code === 0x7f) return '␡';
  return code < 0x20 ? String.fromCharCode(0x2400 + code) : '\uFFFD';
}

/**
 * A name or another short text from a file, the hub or a client, to be shown on one line: characters that could control
 * a terminal or disguise the text are replaced by visible symbols.
 */
export function printableName(text: string): string {
  return text.replace(notInNames, visible);
}

/** As `printableName`, for text: newlines, tabs and the joiners of scripts and emoji stay. */
export function printableText(text: string): string {
  return text.replace(/\r\n?/g, '\n').replace(notInText, visible);
}

/** As `printableText`, for messages that quote names and texts: also replaces direction marks and line separators. */
export function printableMessage(text: string): string {
  return printableText(text).replace(notInMessages, visible);
}

/** Equivalent JSON without characters that could control a terminal; `JSON.stringify` does not escape all of them. */
export function printableJson(json: string): string {
  return json.replace(
    notInJson,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
