import { RND1Error, type RND1ErrorCode } from '../../support/errors';
import { Lane, type LossReason, ThreadFailed, ThreadLost } from '../../worker/lane';
import { threadFile } from '../../worker/thread-file';
import type { Tokenizer } from './tokenizer';
import type { TokenizerPlace } from './tokenizer-thread';

/** UTF-16 units that are tokenized in about 40 ms; texts up to this length do not wait behind longer ones. */
const smallText = 8192;
/** Time limit in seconds to build a tokenizer that was built successfully before. */
const startLimit = 60;
/** Time limit in seconds to build one for the first time: the largest published ones need two or three. */
const trialLimit = 30;
/** Limit of a thread's heap: a text of the server's default size needs a few hundred. */
const heapMegabytes = 1024;
/** Seconds after which the idle thread for long texts ends, which frees its tokenizer. */
const idleLimit = 60;
/** UTF-16 units of texts whose tokens are cached, for repeated prompts. */
const memoLimit = 2 ** 20;

/** Options of `TextWorkers`. */
export interface TextWorkersOptions extends TokenizerPlace {
  readonly tokenizer: Tokenizer | null;
  /** Time limit in seconds for the texts of one call. */
  readonly limit: number;
}

/** A text to tokenize. */
export interface GivenText {
  readonly text: string;
  /** Whether it continues another text. */
  readonly continues: boolean;
}

type TokenizerLane = Lane<null, readonly GivenText[], Int32Array[]>;

interface Lanes {
  readonly short: TokenizerLane;
  readonly long: TokenizerLane;
}

/**
 * Tokenizes texts in worker threads, under limits of time and memory, because the cost of a tokenizer.json cannot be
 * known in advance. One thread is for short texts, one for long ones; both start on first use. Until `start` is called,
 * short texts are tokenized on the calling thread if the tokenizer's patterns are known to be fast.
 */
export class TextWorkers {
  readonly #options: TextWorkersOptions;
  readonly #lanes: Lanes | null;
  readonly #memo = new Map<string, Int32Array>();
  readonly #listeners = new Set<(reason: LossReason) => void>();
  #memoSize = 0;
  #started = false;

  constructor(options: TextWorkersOptions) {
    this.#options = options;
    const { folder, vocabulary, limit } = options;
    const onLost = (reason: LossReason) => {
      for (const listener of this.#listeners) listener(reason);
    };
    const shared = { data: { folder, vocabulary }, startLimit, limit, heapMegabytes, onLost };
    const file = threadFile('checkpoint/tokenizer/tokenizer-thread');
    this.#lanes =
      file === null
        ? null
        : { short: new Lane({ ...shared, file }), long: new Lane({ ...shared, file, idleLimit }) };
  }

  /** Time limit in seconds for the texts of one call. */
  get limit(): number {
    return this.#options.limit;
  }

  /** Number of calls that wait for their tokens. */
  get pending(): number {
    return this.#lanes === null ? 0 : this.#lanes.short.pending + this.#lanes.long.pending;
  }

  /** Starts the thread for short texts; from now on nothing is tokenized on the calling thread. */
  async start(): Promise<void> {
    if (this.#options.tokenizer === null) return;
    const { short } = this.#needLanes();
    this.#started = true;
    await short.start().catch((error) => this.#fail(error));
  }

  /** Calls `listener` when a thread was lost; returns a function that removes it. */
  onLost(listener: (reason: LossReason) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * The token ids of texts; a string does not continue another text.
   *
   * @throws RND1Error `prompt_too_expensive`, or an error of the tokenizer; the signal's reason when it aborts
   */
  async encode(given: readonly (string | GivenText)[], signal?: AbortSignal): Promise<readonly Int32Array[]> {
    const { tokenizer } = this.#options;
    const texts = given.map((text) => (typeof text === 'string' ? { text, continues: false } : text));
    const total = texts.reduce((sum, { text }) => sum + text.length, 0);
    const quick = !this.#started && tokenizer?.isBounded === true && total <= smallText;
    if (tokenizer !== null && (quick || this.#lanes === null)) {
      if (!quick) warnOfBundle();
      return texts.map(({ text, continues }) => tokenizer.encode(text, { continues }));
    }
    const known = new Map<string, Int32Array>();
    const missing = new Map<string, GivenText>();
    for (const text of texts) {
      const key = keyOf(text);
      const ids = text.text === '' ? new Int32Array() : this.#memo.get(key);
      if (ids === undefined) missing.set(key, text);
      else known.set(key, ids);
    }
    if (missing.size > 0) {
      const lane = this.#needLanes()[total <= smallText ? 'short' : 'long'];
      const found = await lane.ask([...missing.values()], signal).catch((error) => this.#fail(error));
      [...missing.keys()].forEach((key, i) => {
        // The thread's arrays may belong to another realm, which test runners create.
        const own = Int32Array.from(found[i] as Int32Array);
        known.set(key, own);
        this.#remember(key, own);
      });
    }
    return texts.map((text) => known.get(keyOf(text)) as Int32Array);
  }

  close(): void {
    const reason = new RND1Error('disposed', 'the model was disposed');
    this.#lanes?.short.close(reason);
    this.#lanes?.long.close(reason);
    this.#memo.clear();
  }

  /** Caches ids and evicts the oldest. */
  #remember(key: string, ids: Int32Array): void {
    if (key.length > memoLimit || this.#memo.has(key)) return;
    this.#memo.set(key, ids);
    this.#memoSize += key.length;
    for (const oldest of this.#memo.keys()) {
      if (this.#memoSize <= memoLimit) return;
      this.#memo.delete(oldest);
      this.#memoSize -= oldest.length;
    }
  }

  #needLanes(): Lanes {
    if (this.#lanes !== null) return this.#lanes;
    throw missingThread();
  }

  #fail(error: unknown): never {
    if (error instanceof ThreadFailed) throw rebuilt(error);
    if (!(error instanceof ThreadLost)) throw error;
    const { limit, folder } = this.#options;
    const seconds = error.starting ? startLimit : limit;
    const told = error.starting ? `${folder}: building its tokenizer` : 'tokenizing the text';
    throw new RND1Error('prompt_too_expensive', `${told} ${lossText(error.reason, seconds, heapMegabytes)}`, {
      cause: error,
    });
  }
}

const keyOf = ({ text, continues }: GivenText) => (continues ? `+${text}` : `=${text}`);

/** Why a thread was lost, as the predicate of a sentence. */
export function lossText(reason: LossReason, seconds: number, megabytes: number): string {
  if (reason === 'time') return `took more than ${seconds} s`;
  if (reason === 'memory') return `needed more than ${megabytes} MB`;
  return 'ended its thread';
}

/** Throws unless the tokenizer of a folder can be built within the limits of memory and time, `limit` in seconds. */
export async function tryTokenizer(folder: string, vocabulary: number, limit = trialLimit): Promise<void> {
  const file = threadFile('checkpoint/tokenizer/tokenizer-thread');
  if (file === null) throw missingThread();
  const lane: TokenizerLane = new Lane({
    file,
    data: { folder, vocabulary },
    startLimit: limit,
    limit,
    heapMegabytes,
  });
  try {
    await lane.start();
  } catch (error) {
    if (!(error instanceof ThreadLost)) throw error;
    throw new Error(`building the tokenizer ${lossText(error.reason, limit, heapMegabytes)}`, {
      cause: error,
    });
  } finally {
    lane.close(new Error('done'));
  }
}

const missing =
  'the files that rnd1 runs in worker threads are neither beside this code nor in an installed rnd1 of the same version';

function missingThread(): RND1Error {
  return new RND1Error(
    'unsupported_model',
    `${missing}: keep rnd1 out of the bundle, or install it beside it`,
  );
}

let warned = false;

function warnOfBundle(): void {
  if (warned) return;
  warned = true;
  process.emitWarning(`${missing}: texts are tokenized on the calling thread, without a time limit`, {
    code: 'RND1_NO_THREADS',
  });
}

/** Recreates an error of a worker thread in this one. */
function rebuilt(failed: ThreadFailed): Error {
  const { name, message, code } = failed.told;
  if (name === 'RND1Error') return new RND1Error(code as RND1ErrorCode, message, { cause: failed });
  if (name === 'RangeError') return new RangeError(message, { cause: failed });
  return failed;
}
