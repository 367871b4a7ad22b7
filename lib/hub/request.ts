import { setTimeout as sleep } from 'node:timers/promises';
import { RND1Error } from '../support/errors';
import { formatBytes } from '../support/format-bytes';
import { fetchThroughProxy } from './connection';
import { failureOf, nameOf, reasonOf, type Subject, Transient } from './failure';
import type { HubSettings } from './settings';

/** Longest pauses in milliseconds: by default, and if a server asks for one. */
const longestPause = 8_000;
const longestWait = 60_000;
/** Bytes of an API response, kept in memory: a page of a list has less than 1 MB. */
const answerLimit = 8_000_000;
/** It must be complete within this many times `timeout`. */
const answerPatience = 2;
const redirectLimit = 10;
/** Fewer bytes per second count as silence. */
const minRate = 256;
/** An attempt that receives fewer bytes counts as one without progress. */
const minProgress = 16 * 1024;

const { version } = require('../../package.json') as { version: string };

/** Counts consecutive attempts without progress, and waits between them. */
export class Retries {
  #failed = 0;
  #furthest = 0;

  constructor(
    private readonly subject: Subject,
    private readonly signal: AbortSignal,
  ) {}

  /** Sets the bytes received; progress resets the count. */
  reached(bytes: number): void {
    if (bytes < this.#furthest + minProgress) return;
    this.#furthest = bytes;
    this.#failed = 0;
  }

  /** Waits before a retry. Throws errors that are not `Transient`, and `network` after too many attempts. */
  async pauseAfter(error: unknown): Promise<void> {
    this.signal.throwIfAborted();
    if (!(error instanceof Transient)) throw error;
    const { attempts, pause: first } = this.subject.settings;
    if (++this.#failed >= attempts) {
      const tried = attempts > 1 ? ` (after ${attempts} attempts)` : '';
      const what = `${nameOf(this.subject)}${this.subject.file === undefined ? '' : `, ${this.subject.file}`}`;
      throw new RND1Error('network', `${what}: ${error.message}${tried}`, { cause: error });
    }
    const pause = Math.min(longestPause, first * 2 ** (this.#failed - 1));
    // Jitter, so that files that failed together do not retry together.
    const own = pause * (0.75 + 0.5 * Math.random());
    const wait = error.wait === null ? own : Math.min(longestWait, error.wait);
    await sleep(wait, undefined, { signal: this.signal }).catch(() => this.signal.throwIfAborted());
  }
}

/** Aborts a request when `outer` does, or when it is silent or slow for too long. */
export class Watch {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #timeout: number;
  readonly #timer: NodeJS.Timeout;
  #deadline: NodeJS.Timeout | undefined;
  #since = performance.now();
  #bytes = 0;
  readonly #follow = () => this.#controller.abort(this.#outer.reason);
  readonly signal: AbortSignal = this.#controller.signal;

  constructor({ timeout }: HubSettings, outer: AbortSignal) {
    this.#outer = outer;
    this.#timeout = timeout;
    this.#timer = setTimeout(() => {
      this.#controller.abort(new Transient(`timeout: no data received for ${timeout / 1000} s`, null));
    }, timeout);
    if (outer.aborted) this.#follow();
    else outer.addEventListener('abort', this.#follow, { once: true });
  }

  /** Restarts the timeout after `bytes` of a body; throws if they are too slow. */
  touch(bytes = 0): void {
    this.#timer.refresh();
    this.#bytes += bytes;
    const seconds = (performance.now() - this.#since) / 1000;
    if (seconds * 1000 < this.#timeout) return;
    if (this.#bytes < minRate * seconds) {
      throw new Transient(`only ${this.#bytes} bytes received in ${seconds.toFixed(0)} s`, null);
    }
    this.#since = performance.now();
    this.#bytes = 0;
  }

  /** Aborts the request after so many milliseconds in any case. */
  endAfter(milliseconds: number): void {
    this.#deadline = setTimeout(() => {
      this.#controller.abort(
        new Transient(`timeout: no complete response in ${milliseconds / 1000} s`, null),
      );
    }, milliseconds);
  }

  /** The error to throw if fetch fails. Throws the reason of `outer` if that was aborted. */
  explain(error: unknown): unknown {
    this.#outer.throwIfAborted();
    if (this.signal.aborted) return this.signal.reason;
    return new Transient(reasonOf(error), null, { cause: error });
  }

  /** Must be called at the end, even after a failure. */
  close(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#deadline);
    this.#outer.removeEventListener('abort', this.#follow);
    // Frees the connection of a body that is not read to its end.
    this.#controller.abort();
  }
}

/** One request. Rejects with `RND1Error` or `Transient` unless the status is in `accept` or 2xx. */
export async function request(
  url: string | URL,
  headers: Record<string, string>,
  { subject, watch, accept = [] }: { subject: Subject; watch: Watch; accept?: readonly number[] },
): Promise<Response> {
  const { endpoint, token, timeout } = subject.settings;
  const { origin } = new URL(endpoint);
  let target = new URL(url, `${endpoint}/`);
  // The token is never sent to another host, nor to any URL that such a host redirects to.
  let own = target.origin === origin;
  for (let redirects = 0; ; redirects++) {
    const all = {
      'user-agent': `rnd1/${version}; node/${process.versions.node}`,
      ...headers,
      ...(own && token !== null ? { authorization: `Bearer ${token}` } : {}),
    };
    const response = await fetchThroughProxy(target, all, { signal: watch.signal, timeout }).catch(
      (error) => {
        throw watch.explain(error);
      },
    );
    watch.touch();
    const location = /^30[12378]$/.test(String(response.status)) ? response.headers.get('location') : null;
    if (location === null) {
      if (!response.ok && !accept.includes(response.status)) throw await failureOf(response, subject);
      return response;
    }
    // The body of a redirect is not needed.
    await response.body?.cancel().catch(() => {});
    if (redirects === redirectLimit) throw misled(subject, `more than ${redirectLimit} times`);
    target = addressOf(location, target, subject);
    own &&= target.origin === origin;
  }
}

/** The target of a redirect. */
function addressOf(location: string, from: URL, subject: Subject): URL {
  const target = URL.canParse(location, from.href) ? new URL(location, from) : null;
  if (target === null || !/^https?:$/.test(target.protocol)) throw misled(subject, 'to an invalid address');
  if (target.username !== '' || target.password !== '') {
    throw misled(subject, 'to an address with a password');
  }
  return target;
}

function misled(subject: Subject, where: string): RND1Error {
  const { endpoint } = subject.settings;
  return new RND1Error('network', `${nameOf(subject)}: a request to ${endpoint} is redirected ${where}`);
}

/** The chunks of a body as they arrive. Errors of the consumer pass through unchanged. */
export async function* chunksOf(response: Response, watch: Watch): AsyncGenerator<Uint8Array, void, void> {
  const reader = response.body?.getReader();
  for (;;) {
    const next = await reader?.read().catch((error) => {
      throw watch.explain(error);
    });
    if (next === undefined || next.done) return;
    yield next.value;
    watch.touch(next.value.length);
  }
}

/**
 * `fetch` for `@huggingface/hub`: sends the token, retries transient failures and throws `RND1Error`. It allows only
 * `answers` calls, because each page of a list names the next one.
 */
export function apiFetch(subject: Subject, signal: AbortSignal, answers: number): typeof fetch {
  let asked = 0;
  return async (input, init) => {
    if (++asked > answers) {
      const { endpoint } = subject.settings;
      throw new RND1Error(
        'network',
        `${nameOf(subject)}: ${endpoint} gives a list of more than ${answers} pages`,
      );
    }
    const retries = new Retries(subject, signal);
    const headers = Object.fromEntries(new Headers(init?.headers));
    for (;;) {
      const watch = new Watch(subject.settings, signal);
      watch.endAfter(answerPatience * subject.settings.timeout);
      try {
        const response = await request(input as string | URL, headers, { subject, watch });
        // Read here, so that a truncated response is requested again.
        const body = await readAnswer(response, watch);
        return new Response(body, { status: response.status, headers: response.headers });
      } catch (error) {
        watch.close();
        await retries.pauseAfter(error);
      } finally {
        watch.close();
      }
    }
  };
}

async function readAnswer(response: Response, watch: Watch): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of chunksOf(response, watch)) {
    bytes += chunk.length;
    if (bytes > answerLimit)
      throw new RND1Error(
        'network',
        `${new URL(response.url).origin} answers more than ${formatBytes(answerLimit)}`,
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
