import { types } from 'node:util';
import { printableMessage } from '../printable';

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
      Buffer.from(secret).toString('hex'),
      ...inBase64(secret),
    ]);
    // What is shorter than a word would be found everywhere.
    this.#secrets = [...new Set(forms)].filter((form) => form.length >= 4).map(lowerCase);
  }

  /** The text without secrets, without passwords and signatures in addresses, and without controls of terminals. */
  text(text: string): string {
    let out = text;
    for (const secret of this.#secrets) out = without(out, secret);
    return printableMessage(
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

/** What of a secret is its own in Base64, wherever in a text that was encoded it stands. */
function inBase64(secret: string): string[] {
  const forms = [0, 1, 2].map((before) => {
    const text = Buffer.from(' '.repeat(before) + secret)
      .toString('base64')
      .replace(/=+$/, '');
    // The letters at both ends hold bits of what stands beside it.
    const end = (before + Buffer.byteLength(secret)) % 3 === 0 ? text.length : text.length - 1;
    return text.slice([0, 2, 3][before], end);
  });
  return forms.flatMap((form) => [form, form.replaceAll('+', '-').replaceAll('/', '_')]);
}

/** `text` without a secret or parts of it; `secret` is in lower case. */
function without(text: string, secret: string): string {
  const searched = lowerCase(text);
  const length = Math.min(leastLength, secret.length);
  // Places of the text, and where a part of the secret that begins there ends.
  const parts = new Map<number, number>();
  for (let start = 0; start + length <= secret.length; start++) {
    const part = secret.slice(start, start + length);
    for (let at = searched.indexOf(part); at !== -1; at = searched.indexOf(part, at + 1)) {
      parts.set(at, at + length);
    }
  }
  let out = '';
  let done = 0;
  let open = false;
  for (const [start, end] of [...parts].sort(([a], [b]) => a - b)) {
    if (!open || start > done) out += `${text.slice(done, start)}***`;
    open = true;
    done = Math.max(done, end);
  }
  return out + text.slice(done);
}
