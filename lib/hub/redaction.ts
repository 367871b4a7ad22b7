import { types } from 'node:util';
import { printableMessage } from '../support/printable';

/** A part of a secret of this length is secret, too: quotations may have been cut. */
const minLength = 8;

/** ASCII only: some other letters change their length, which would shift all later positions. */
const lowerCase = (text: string) => text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());

/** Tokens and passwords that must not be quoted, whoever sends them back. */
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
    // Shorter strings would be found everywhere.
    this.#secrets = [...new Set(forms)].filter((form) => form.length >= 4).map(lowerCase);
  }

  /** The text without secrets, passwords and signatures in URLs, and terminal control characters. */
  text(text: string): string {
    let out = text;
    for (const secret of this.#secrets) out = without(out, secret);
    return printableMessage(
      out
        .replace(/\b([a-z][a-z\d+.-]*:\/\/)[^\s/@"'<>]*@/gi, '$1***@')
        .replace(/(\bhttps?:\/\/[^\s?"'<>]+)\?[^\s"'<>]*/gi, '$1?***'),
    );
  }

  /** Removes secrets from an error, its causes and all their properties; returns it. */
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
    // Sockets, headers and the like add nothing to the message.
    return typeof value === 'object' || typeof value === 'function' ? undefined : value;
  }

  #set(error: Error, key: string, value: unknown): void {
    const { enumerable = false } = Object.getOwnPropertyDescriptor(error, key) ?? {};
    Object.defineProperty(error, key, { value, enumerable, writable: true, configurable: true });
  }
}

/** Base64 letters of a secret at any offset of a text, without those that depend on neighbours. */
function inBase64(secret: string): string[] {
  const forms = [0, 1, 2].map((before) => {
    const text = Buffer.from(' '.repeat(before) + secret)
      .toString('base64')
      .replace(/=+$/, '');
    // The letters at both ends contain bits of neighbouring bytes.
    const end = (before + Buffer.byteLength(secret)) % 3 === 0 ? text.length : text.length - 1;
    return text.slice([0, 2, 3][before], end);
  });
  return forms.flatMap((form) => [form, form.replaceAll('+', '-').replaceAll('/', '_')]);
}

/** `text` without a secret or parts of it; `secret` is in lower case. */
function without(text: string, secret: string): string {
  const searched = lowerCase(text);
  const length = Math.min(minLength, secret.length);
  // Start → end of every part of the secret in the text.
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
