import { RND1Error, type RND1ErrorCode } from '../errors';
import type { Tokenizer } from '../tokenizer';
import { Lane, type LossReason, ThreadFailed, ThreadLost } from './lane';
import { threadFile } from './thread-file';
import type { TokenizerPlace } from './tokenizer-thread';

/** UTF-16 units that become tokens in some forty milliseconds; texts up to here need not wait behind longer ones. */
const smallText = 8192;
/** Seconds for making a tokenizer that was made once already. */
const startLimit = 60;
/** Seconds for making one that may take for ever: the largest published ones need two or three. */
const trialLimit = 30;
/** For the heap of a thread: a text of the server's default size needs a few hundred. */
const heapMegabytes = 1024;
/** Seconds after which the thread for long texts is given up, and its tokenizer with it. */
const idleLimit = 60;
/** UTF-16 units of texts whose tokens are kept, for the next answer to the same prompt. */
const memoLimit = 2 ** 20;

/** Whose texts become tokens. */
export interface TextWorkersOptions extends TokenizerPlace {
  readonly tokenizer: Tokenizer | null;
  /** Seconds that the texts of one call may take. */
  readonly limit: number;
}

/** A text that becomes tokens. */
export interface GivenText {
  readonly text: string;
  /** It goes on after another one. */
  readonly continues: boolean;
}

type TokenizerLane = Lane<null, readonly GivenText[], Int32Array[]>;

interface Lanes {
  readonly short: TokenizerLane;
  readonly long: TokenizerLane;
}

/**
 * Makes tokens of texts in worker threads, under limits of time and memory: what a tokenizer.json makes of a text is
 * known only when it is done. One thread is for short texts, one for long ones. Both start when they are needed; until
 * then short texts are done here, where the tokenizer's patterns are known to be quick.
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
    const file = threadFile('worker/tokenizer-thread');
    this.#lanes =
      file === null
        ? null
        : { short: new Lane({ ...shared, file }), long: new Lane({ ...shared, file, idleLimit }) };
  }

  /** Seconds that the texts of one call may take. */
  get limit(): number {
    return this.#options.limit;
  }

  /** Calls that wait for their tokens. */
  get pending(): number {
    return this.#lanes === null ? 0 : this.#lanes.short.pending + this.#lanes.long.pending;
  }

  /** From now on the calling thread makes no tokens at all. */
  async start(): Promise<void> {
    if (this.#options.tokenizer === null) return;
    const { short } = this.#needLanes();
    this.#started = true;
    await short.start().catch((error) => this.#fail(error));
  }

  /** Calls back when a thread had to be ended; returns what ends that. */
  onLost(listener: (reason: LossReason) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * The token ids of texts; a string is one that begins a text.
   *
   * @throws RND1Error `prompt_too_expensive`, or what the tokenizer says; the signal's reason when it aborts
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
        // The thread's arrays may be of another realm, where test runners make some.
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

  /** Keeps the latest. */
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
    const told = error.starting ? `${folder}: making its tokenizer` : 'making tokens of the text';
    throw new RND1Error('prompt_too_expensive', `${told} ${lossText(error.reason, seconds, heapMegabytes)}`, {
      cause: error,
    });
  }
}

const keyOf = ({ text, continues }: GivenText) => (continues ? `+${text}` : `=${text}`);

/** What a lost thread did, behind what it was doing. */
export function lossText(reason: LossReason, seconds: number, megabytes: number): string {
  if (reason === 'time') return `took more than ${seconds} s`;
  if (reason === 'memory') return `needed more than ${megabytes} MB`;
  return 'ended its thread';
}

/** Throws unless the tokenizer of a folder can be made within the limits of memory and time, `limit` in seconds. */
export async function tryTokenizer(folder: string, vocabulary: number, limit = trialLimit): Promise<void> {
  const file = threadFile('worker/tokenizer-thread');
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
    throw new Error(`making it ${lossText(error.reason, limit, heapMegabytes)}`, { cause: error });
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
  process.emitWarning(`${missing}: texts become tokens on the calling thread, without a time limit`, {
    code: 'RND1_NO_THREADS',
  });
}

/** An error of a thread as this thread's own. */
function rebuilt(failed: ThreadFailed): Error {
  const { name, message, code } = failed.told;
  if (name === 'RND1Error') return new RND1Error(code as RND1ErrorCode, message, { cause: failed });
  if (name === 'RangeError') return new RangeError(message, { cause: failed });
  return failed;
}
