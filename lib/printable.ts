/** Marks that change the direction of the text around them, and so what a reader takes it for. */
const direction = '\\u061C\\u200E\\u200F\\u202A-\\u202E\\u2066-\\u2069';
/** What no name needs: controls, formats such as marks of direction, line separators, halves of surrogate pairs. */
const notInNames = /[\p{Control}\p{Format}\p{Line_Separator}\p{Paragraph_Separator}\p{Surrogate}]/gu;
/** Text may hold joiners of emoji and of scripts, marks that show a direction, newlines and tabs. */
const notInText = /(?![\n\t])\p{Control}|[\u202A-\u202E\u2066-\u2069]/gu;
/** What no message needs: marks of direction that text may hold, and line separators that are no newlines. */
const notInMessages = /[\u061C\u200E\u200F\u2028\u2029]/g;
const notInJson = new RegExp(`[\\u007F-\\u009F\\u2028\\u2029${direction}]`, 'g');

/** A control as a visible symbol; U+FFFD where it has none. */
function visible(character: string): string {
  const code = character.charCodeAt(0);
  if (code === 0x7f) return '␡';
  return code < 0x20 ? String.fromCharCode(0x2400 + code) : '\uFFFD';
}

/**
 * A name or another short text from a file, the hub or a client, to be shown on one line: what could steer a terminal or
 * look like something else is replaced by visible symbols.
 */
export function printableName(text: string): string {
  return text.replace(notInNames, visible);
}

/** A text, as `printableName`; newlines and tabs stay, and what scripts and emoji are joined with. */
export function printableText(text: string): string {
  return text.replace(/\r\n?/g, '\n').replace(notInText, visible);
}

/** A message that may quote names and texts, as `printableText`; marks of direction and line separators go, too. */
export function printableMessage(text: string): string {
  return printableText(text).replace(notInMessages, visible);
}

/** JSON that says the same and holds nothing that could steer a terminal: `JSON.stringify` escapes less. */
export function printableJson(json: string): string {
  return json.replace(
    notInJson,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
