import { setTimeout as sleep } from 'node:timers/promises';
import { RND1Error } from '../errors';
import { failureOf, nameOf, reasonOf, type Subject, Transient } from './failure';
import type { HubSettings } from './settings';

/** Longest pauses in milliseconds: our own, and what a server may ask for. */
const longestPause = 8_000;
const longestWait = 60_000;
/** An answer of the API is kept in memory. */
const answerLimit = 64 * 1024 * 1024;

const { version } = require('../../package.json') as { version: string };

/** Counts attempts in a row that brought nothing new, and waits between them. */
export class Retries {
  #failed = 0;
  #furthest = 0;

  constructor(
    private readonly subject: Subject,
    private readonly signal: AbortSignal,
  ) {}

  /** An attempt has come so far, in bytes. */
  reached(bytes: number): void {
    if (bytes <= this.#furthest) return;
    this.#furthest = bytes;
    this.#failed = 0;
  }

  /** Waits before another attempt. Throws what is not transient, and `network` after too many attempts. */
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
    // Spread, so that files that failed together do not come back together.
    const own = pause * (0.75 + 0.5 * Math.random());
    const wait = error.wait === null ? own : Math.min(longestWait, error.wait);
    await sleep(wait, undefined, { signal: this.signal }).catch(() => this.signal.throwIfAborted());
  }
}

/** Aborts an exchange when `signal` does, or when it is silent for too long. */
export class Watch {
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #timer: NodeJS.Timeout;
  readonly #follow = () => this.#controller.abort(this.#outer.reason);
  readonly signal: AbortSignal = this.#controller.signal;

  constructor({ timeout }: HubSettings, outer: AbortSignal) {
    this.#outer = outer;
    this.#timer = setTimeout(() => {
      this.#controller.abort(new Transient(`nothing has come for ${timeout / 1000} s`, null));
    }, timeout);
    if (outer.aborted) this.#follow();
    else outer.addEventListener('abort', this.#follow, { once: true });
  }

  /** Something has come. */
  touch(): void {
    this.#timer.refresh();
  }

  /** What fetch failed with, in our words. Throws the reason of `outer` where that has ended it. */
  explain(error: unknown): unknown {
    this.#outer.throwIfAborted();
    if (this.signal.aborted) return this.signal.reason;
    return new Transient(reasonOf(error), null, { cause: error });
  }

  /** To be called at the end, however that came. */
  close(): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener('abort', this.#follow);
    // Frees the connection of a body that nobody reads to its end.
    this.#controller.abort();
  }
}

/** One request. Rejects with `RND1Error` or `Transient` unless the status is in `accept` or 2xx. */
export async function request(
  url: string | URL,
  headers: Record<string, string>,
  { subject, watch, accept = [] }: { subject: Subject; watch: Watch; accept?: readonly number[] },
): Promise<Response> {
  const { endpoint, token } = subject.settings;
  const target = new URL(url, `${endpoint}/`);
  // Redirects to another host lose this header in fetch; links to another host must not get it to begin with.
  const own = token !== null && target.origin === new URL(endpoint).origin;
  const init = {
    headers: {
      'user-agent': `rnd1/${version}; node/${process.versions.node}`,
      ...headers,
      ...(own ? { authorization: `Bearer ${token}` } : {}),
    },
    signal: watch.signal,
  };
  const response = await fetch(target, init).catch((error) => {
    throw watch.explain(error);
  });
  watch.touch();
  if (!response.ok && !accept.includes(response.status)) throw await failureOf(response, subject);
  return response;
}

/** The pieces of a body as they come. What the reader of them throws stays what it is. */
export async function* chunksOf(response: Response, watch: Watch): AsyncGenerator<Uint8Array, void, void> {
  const reader = response.body?.getReader();
  for (;;) {
    const next = await reader?.read().catch((error) => {
      throw watch.explain(error);
    });
    if (next === undefined || next.done) return;
    yield next.value;
    watch.touch();
  }
}

/** `fetch` for `@huggingface/hub`: with our token, repeated where that may help, failing as `RND1Error`. */
export function apiFetch(subject: Subject, signal: AbortSignal): typeof fetch {
  return async (input, init) => {
    const retries = new Retries(subject, signal);
    const headers = Object.fromEntries(new Headers(init?.headers));
    for (;;) {
      const watch = new Watch(subject.settings, signal);
      try {
        const response = await request(input as string | URL, headers, { subject, watch });
        // Read here, so that an answer that is cut off is asked for again.
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
      throw new RND1Error('network', `${response.url} answers more than ${answerLimit} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
