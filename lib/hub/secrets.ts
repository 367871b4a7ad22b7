import { types } from 'node:util';
import { printableText } from '../printable';

/** A part of a secret that is so long is one, too: what others quote of it may have been cut. */
const leastLength = 8;

/** Only of ASCII: some other letters grow, and places in the one text would not be those in the other. */
const lowerCase = (text: string) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

/** What must not be quoted: tokens and passwords, whoever sends them back. */
export class Secrets {
  readonly #secrets: readonly string[];

  constructor(secrets: Iterable<string>) {
    const forms = [...secrets].flatMap((secret) => [
      secret,
      encodeURIComponent(secret),
      JSON.stringify(secret).slice(1, -1),
      Buffer.from(secret).toString('base64'),
    ]);
    // What is shorter than a word would be found everywhere.
    this.#secrets = [...new Set(forms)].filter((form) => form.length >= 4).map(lowerCase);
  }

  /** The text without secrets, without passwords and signatures in addresses, and without controls of terminals. */
  text(text: string): string {
    let out = text;
    for (const secret of this.#secrets) out = without(out, secret);
    return printableText(
      out
        .replace(/\b([a-z][a-z\d+.-]*:\/\/)[^\s/@"'<>]*@/gi, '$1***@')
        .replace(/(\bhttps?:\/\/[^\s?"'<>]+)\?[^\s"'<>]*/gi, '$1?***'),
    );
  }

  /** Takes secrets out of an error, its causes and all that they hold; gives it back. */
  error<T>(error: T, seen = new Set<unknown>()): T {
    if (!types.isNativeError(error) || seen.has(error)) return error;
    seen.add(error);
    for (const key of Object.getOwnPropertyNames(error)) {
      const value = (error as unknown as Record<string, unknown>)[key];
      this.#set(error, key, this.#value(value, seen));
    }
    return error;
  }

  #value(value: unknown, seen: Set<unknown>): unknown {
    if (typeof value === 'string') return this.text(value);
    if (types.isNativeError(value)) return this.error(value, seen);
    if (Array.isArray(value)) return value.map((item) => this.#value(item, seen));
    // Sockets, headers and the like say nothing that the message does not.
    return typeof value === 'object' || typeof value === 'function' ? undefined : value;
  }

  #set(error: Error, key: string, value: unknown): void {
    const { enumerable = false } = Object.getOwnPropertyDescriptor(error, key) ?? {};
    Object.defineProperty(error, key, { value, enumerable, writable: true, configurable: true });
  }
}

/** `text` without a secret or the beginning of it; `secret` is in lower case. */
function without(text: string, secret: string): string {
  const searched = lowerCase(text);
  const start = secret.slice(0, leastLength);
  let out = '';
  let at = 0;
  for (let found = searched.indexOf(start); found !== -1; found = searched.indexOf(start, at)) {
    let length = start.length;
    while (length < secret.length && searched[found + length] === secret[length]) length++;
    out += `${text.slice(at, found)}***`;
    at = found + length;
  }
  return out + text.slice(at);
}
