import { RND1Error } from '../support/errors';
import { BatchFileError } from './errors';
import { type BatchFolder, secondsNow } from './folder';
import { type InputRules, indexInput } from './input';
import type { Answer } from './outcome';
import { type BatchError, type BatchRecord, type BatchStatus, type FileRecord, finalStates } from './records';
import { writeResults } from './results';
import { Batch, type BatchProgress } from './run';

/** Why a batch stops before its end. */
class Stop extends Error {
  constructor(readonly why: 'cancelled' | 'expired' | 'closing') {
    super(`the batch is ${why}`);
  }
}

export interface RunnerOptions {
  readonly rules: InputRules;
  /** Canvases of one owner's batches that are answered at the same time. */
  readonly canvases: number;
  /** Answers lines of an owner's batches. */
  answerFor(owner: string): Answer;
  /** Called with errors that are not the client's. */
  onError(error: unknown, batch: BatchRecord): void;
}

/** What a client asks for. */
export type NewBatch = Pick<BatchRecord, 'owner' | 'endpoint' | 'metadata' | 'keepOutput'> & {
  readonly input: FileRecord;
};

/** Seconds for a batch: OpenAI's only completion window. */
const timeLimit = 24 * 60 * 60;
const longestDelay = 2 ** 31 - 1;

/** Runs the batches of a folder: those of one owner one after another, those of several side by side. */
export class BatchRunner {
  /** The last work of each owner. */
  readonly #lanes = new Map<string, Promise<void>>();
  /** Batches that are not finished. */
  readonly #stops = new Map<string, AbortController>();
  #validating: Promise<unknown> = Promise.resolve();
  readonly #closing = new AbortController();

  constructor(
    private readonly folder: BatchFolder,
    private readonly options: RunnerOptions,
  ) {}

  /** Goes on with the batches that an earlier server has left. */
  start(): void {
    for (const { id, owner, status } of this.folder.batches.all) {
      if (!finalStates.has(status)) this.#enqueue(id, owner);
    }
  }

  /** Number of an owner's batches that are not finished. */
  unfinished(owner: string): number {
    const own = [...this.folder.batches.all].filter((batch) => batch.owner === owner);
    return own.filter(({ status }) => !finalStates.has(status)).length;
  }

  async create({ input, ...given }: NewBatch): Promise<BatchRecord> {
    const createdAt = secondsNow();
    const batch: BatchRecord = {
      ...this.folder.batches.next(),
      ...given,
      inputFile: input.id,
      outputFile: null,
      errorFile: null,
      status: 'validating',
      errors: [],
      counts: { total: 0, completed: 0, failed: 0 },
      createdAt,
      expiresAt: createdAt + timeLimit,
      times: {},
    };
    await this.folder.addBatch(batch);
    this.#enqueue(batch.id, batch.owner);
    return batch;
  }

  /** Stops a batch; what is answered remains. */
  async cancel(id: string): Promise<void> {
    await this.#enter(id, 'cancelling');
    this.#stops.get(id)?.abort(new Stop('cancelled'));
  }

  /** Interrupts all batches, which the next server goes on with. */
  async close(): Promise<void> {
    const reason = new Stop('closing');
    this.#closing.abort(reason);
    for (const stop of this.#stops.values()) stop.abort(reason);
    await Promise.all(this.#lanes.values());
  }

  #enqueue(id: string, owner: string): void {
    const stop = new AbortController();
    this.#stops.set(id, stop);
    if (this.#get(id).status === 'cancelling') stop.abort(new Stop('cancelled'));
    const expiry = this.#expireLater(id, stop);
    const valid = this.#validate(id, stop.signal);
    const before = this.#lanes.get(owner);
    const lane = (async () => {
      await before;
      try {
        if (await valid) await this.#run(id, stop.signal);
      } catch (error) {
        await this.#fail(id, error);
      } finally {
        clearTimeout(expiry);
        this.#stops.delete(id);
      }
    })().finally(() => {
      if (this.#lanes.get(owner) === lane) this.#lanes.delete(owner);
    });
    this.#lanes.set(owner, lane);
  }

  #expireLater(id: string, stop: AbortController): NodeJS.Timeout {
    const seconds = Math.max(0, this.#get(id).expiresAt - secondsNow());
    const expire = () => stop.abort(new Stop('expired'));
    return setTimeout(expire, Math.min(longestDelay, seconds * 1000)).unref();
  }

  /** Checks the input right away, one batch at a time: those that cannot run need not wait for their turn. */
  #validate(id: string, signal: AbortSignal): Promise<boolean> {
    const check = async () => {
      const { status, endpoint: url, inputFile } = this.#get(id);
      if (status !== 'validating') return true;
      const input = this.folder.files.dataOf(inputFile);
      const { size: total } = await indexInput(input, { ...this.options.rules, url }, signal);
      this.#change(id, { counts: { total, completed: 0, failed: 0 } });
      if (this.#get(id).status === 'validating') await this.#enter(id, 'in_progress');
      return true;
    };
    const checked = this.#validating.then(check).catch(async (error: unknown) => {
      if (signal.aborted) return true;
      await this.#fail(id, error);
      return false;
    });
    this.#validating = checked;
    return checked;
  }

  async #run(id: string, signal: AbortSignal): Promise<void> {
    const why = await this.#answer(id, this.options.answerFor(this.#get(id).owner), signal);
    if (why === 'closing') return;
    if (why === 'expired') await this.#answerExpired(id);
    if (why !== 'cancelled') await this.#enter(id, 'finalizing');
    const files = await writeResults(this.folder, this.#get(id));
    await this.#enter(id, why ?? 'completed', files);
    await this.folder.batches.removeData(id);
  }

  /** Gives every line that is left the error of a batch that took too long. */
  async #answerExpired(id: string): Promise<void> {
    const message = 'the batch took longer than its completion window';
    const late: Answer = async () => ({ error: { code: 'batch_expired', message } });
    await this.#answer(id, late, this.#closing.signal);
  }

  /** Answers the lines of a batch; returns why it stopped, or null at its end. */
  async #answer(id: string, answer: Answer, signal: AbortSignal): Promise<Stop['why'] | null> {
    const { endpoint: url, inputFile } = this.#get(id);
    const input = this.folder.files.dataOf(inputFile);
    const output = this.folder.batches.dataOf(id);
    const paths = { input, output, ordered: true, rules: { ...this.options.rules, url } };
    const batch = await Batch.open(paths, this.#closing.signal);
    try {
      const onProgress = (progress: BatchProgress) => this.#report(id, progress);
      onProgress(batch.progress);
      signal.throwIfAborted();
      await batch.run({ answer, canvases: this.options.canvases, signal, onProgress });
      return null;
    } catch (error) {
      if (error instanceof Stop) return error.why;
      throw error;
    } finally {
      await batch.close();
    }
  }

  #report(id: string, { total, done, failed }: BatchProgress): void {
    this.#change(id, { counts: { total, completed: done - failed, failed } });
  }

  async #fail(id: string, error: unknown): Promise<void> {
    if (this.#closing.signal.aborted) return;
    if (!(error instanceof BatchFileError)) this.options.onError(error, this.#get(id));
    const errors = [asBatchError(error)];
    try {
      await this.#enter(id, 'failed', { errors });
      await this.folder.batches.removeData(id);
    } catch (again) {
      this.options.onError(again, this.#get(id));
    }
  }

  #get(id: string): BatchRecord {
    return this.folder.batches.get(id) as BatchRecord;
  }

  #change(id: string, change: Partial<BatchRecord>): void {
    this.folder.batches.update({ ...this.#get(id), ...change });
  }

  async #enter(id: string, status: BatchStatus, change: Partial<BatchRecord> = {}): Promise<void> {
    const batch = this.#get(id);
    const times = { ...batch.times, [status]: secondsNow() };
    await this.folder.batches.save({ ...batch, ...change, status, times });
  }
}

function asBatchError(error: unknown): BatchError {
  if (error instanceof BatchFileError) {
    const { code, problem: message, line, param } = error;
    return { code, message, line, param };
  }
  const message =
    error instanceof RND1Error && error.code === 'io'
      ? 'the server could not read or write its files'
      : 'the server failed; its log says why';
  return { code: 'server_error', message, line: null, param: null };
}
