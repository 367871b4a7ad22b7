import { setMaxListeners } from 'node:events';
import { FileLock } from '../support/file-lock';
import { BatchFileError } from './errors';
import { type InputRules, indexInput, readRequests } from './input';
import type { LineIndex } from './line-index';
import { type Answer, type Outcome, outcomeLine, succeeded, tokensOf } from './outcome';
import { OutputFile, resumeOutput } from './output';
import { type BatchRequest, canvasesOf } from './request';

/** Answered lines that may wait for an earlier one, for each canvas that runs. */
const linesAhead = 16;

/** The files of a batch. */
export interface BatchPaths {
  readonly input: string;
  /** An output that an earlier run left is continued. */
  readonly output: string;
  /** Whether the output has the order of the input, or that in which lines were answered. */
  readonly ordered: boolean;
  readonly rules?: InputRules;
}

/** How lines are answered. */
export interface RunOptions {
  readonly answer: Answer;
  /** Canvases that are answered at the same time; a line that needs more runs alone. */
  readonly canvases: number;
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: BatchProgress) => void;
}

export interface BatchProgress {
  /** Lines of the input. */
  readonly total: number;
  /** Lines of the output. */
  readonly done: number;
  /** Lines of the output that hold errors. */
  readonly failed: number;
  /** Lines that an earlier run wrote. */
  readonly resumed: number;
  /** Tokens that this run wrote. */
  readonly tokens: number;
}

/** An input that was checked and its output, of which this object is the only writer. */
export class Batch {
  private constructor(
    private readonly paths: BatchPaths,
    private readonly index: LineIndex,
    private readonly lock: FileLock,
    private readonly file: OutputFile,
    private readonly failed: number,
  ) {}

  /**
   * Checks every line of the input, and what an earlier run has written.
   *
   * @throws BatchFileError for an input that is wrong, RND1Error `io`, `signal.reason`
   */
  static async open(paths: BatchPaths, signal: AbortSignal): Promise<Batch> {
    const { input, output, ordered, rules } = paths;
    const index = await indexInput(input, rules, signal);
    const lock = await FileLock.take(output);
    try {
      const { bytes, failed } = await resumeOutput(output, index, ordered, signal);
      return new Batch(paths, index, lock, await OutputFile.open(output, bytes), failed);
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  /** What earlier runs have done. */
  get progress(): BatchProgress {
    const { doneCount: done, size: total } = this.index;
    return { total, done, failed: this.failed, resumed: done, tokens: 0 };
  }

  /**
   * Answers all lines that the output does not hold yet, many at a time; call it once. The output has a line for every
   * line of the input then: none is lost or there twice, whenever an earlier run was killed.
   *
   * @throws RND1Error `io`, `signal.reason`, and what `answer` throws; the output keeps what was written
   */
  run(options: RunOptions): Promise<BatchProgress> {
    return new Run(this.paths, options, this.index, this.file, this.progress).run();
  }

  /** Brings the output to the disk. */
  async close(): Promise<void> {
    try {
      await this.file.close();
    } finally {
      await this.lock.release();
    }
  }
}

/** One run of a batch. */
class Run {
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #running = new Set<Promise<void>>();
  #canvases = 0;
  /** Lines that wait for an earlier one, by ordinal. */
  readonly #early = new Map<number, { readonly line: string; readonly outcome: Outcome }>();
  /** Ordinal of the line that is written next. */
  #next: number;
  #progress: BatchProgress;

  constructor(
    private readonly paths: BatchPaths,
    private readonly options: RunOptions,
    private readonly index: LineIndex,
    private readonly file: OutputFile,
    progress: BatchProgress,
  ) {
    this.#signal = AbortSignal.any([options.signal, this.#stop.signal]);
    // Every line listens.
    setMaxListeners(0, this.#signal);
    this.#progress = progress;
    this.#next = progress.done;
  }

  async run(): Promise<BatchProgress> {
    this.options.onProgress?.(this.#progress);
    try {
      if (this.index.doneCount < this.index.size) await this.#answerAll();
      return this.#progress;
    } finally {
      this.#stop.abort();
      await Promise.allSettled(this.#running);
    }
  }

  async #answerAll(): Promise<void> {
    const { input, rules } = this.paths;
    const { canvases } = this.options;
    const ahead = linesAhead * canvases;
    let ordinal = 0;
    for await (const request of readRequests(input, rules, this.#signal)) {
      const own = ordinal++;
      if (!this.index.hasId(own, request.id)) throw changed(input, request);
      if (this.index.isDone(own)) continue;
      const needed = Math.min(canvases, canvasesOf(request));
      while (this.#canvases + needed > canvases || this.#early.size >= ahead) await this.#oneEnds();
      this.#start(request, own, needed);
    }
    if (ordinal < this.index.size) throw changed(input, null);
    while (this.#running.size > 0) await this.#oneEnds();
    this.#signal.throwIfAborted();
  }

  async #oneEnds(): Promise<void> {
    await Promise.race(this.#running);
    this.#signal.throwIfAborted();
  }

  #start(request: BatchRequest, ordinal: number, canvases: number): void {
    this.#canvases += canvases;
    const running = this.#answer(request, ordinal)
      .catch((error: unknown) => this.#stop.abort(error))
      .finally(() => {
        this.#canvases -= canvases;
        this.#running.delete(running);
      });
    this.#running.add(running);
  }

  async #answer(request: BatchRequest, ordinal: number): Promise<void> {
    const outcome = await this.options.answer(request, this.#signal);
    this.#signal.throwIfAborted();
    const line = outcomeLine(request, outcome);
    if (!this.paths.ordered) return this.#write(line, outcome);
    this.#early.set(ordinal, { line, outcome });
    for (;;) {
      const next = this.#early.get(this.#next);
      if (next === undefined) return;
      this.#early.delete(this.#next++);
      await this.#write(next.line, next.outcome);
    }
  }

  async #write(line: string, outcome: Outcome): Promise<void> {
    const { done, failed, tokens } = this.#progress;
    this.#progress = {
      ...this.#progress,
      done: done + 1,
      failed: failed + (succeeded(outcome) ? 0 : 1),
      tokens: tokens + tokensOf(outcome),
    };
    const writing = this.file.write(line);
    this.options.onProgress?.(this.#progress);
    await writing;
  }
}

function changed(input: string, request: BatchRequest | null): Error {
  const problem = 'the file changed while it was read';
  return new BatchFileError('changed_line', problem, input, request?.line ?? null);
}
