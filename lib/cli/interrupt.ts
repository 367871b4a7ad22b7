/** Signals that end a run cleanly, and their exit codes in shells. */
const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

type EndingSignal = keyof typeof exitCodes;

/** Abort reason after a signal. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly exitCode: number;

  constructor(signal: EndingSignal) {
    super('interrupted');
    this.exitCode = exitCodes[signal];
  }
}

/** Aborts `signal` on the first Ctrl-C and restores the default handling, so that a second one kills the process. */
export class Interruption implements Disposable {
  readonly #controller = new AbortController();
  readonly signal: AbortSignal = this.#controller.signal;
  readonly #handlers = (Object.keys(exitCodes) as EndingSignal[]).map((name) => {
    const handler = () => {
      this[Symbol.dispose]();
      this.#controller.abort(new Interrupted(name));
    };
    process.on(name, handler);
    return { name, handler };
  });

  /** Restores the default handling of the signals. */
  [Symbol.dispose](): void {
    for (const { name, handler } of this.#handlers) process.removeListener(name, handler);
  }
}

/**
 * The signals of a program that outlives Ctrl-C: SIGINT aborts the work in progress, if there is any. Every other signal,
 * and SIGINT in between, aborts `signal` and restores the default handling.
 */
export class Interruptions implements Disposable {
  readonly #ending = new AbortController();
  /** Aborts at the end of the program. */
  readonly signal: AbortSignal = this.#ending.signal;
  #work: AbortController | null = null;
  readonly #handlers = (Object.keys(exitCodes) as EndingSignal[]).map((name) => {
    const handler = () => {
      if (name === 'SIGINT' && this.#work !== null) {
        this.#work.abort(new Interrupted(name));
        return;
      }
      this[Symbol.dispose]();
      this.#ending.abort(new Interrupted(name));
    };
    process.on(name, handler);
    return { name, handler };
  });

  /** Does work that SIGINT aborts. */
  async during<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#work = controller;
    try {
      return await work(AbortSignal.any([this.signal, controller.signal]));
    } finally {
      this.#work = null;
    }
  }

  /** Restores the default handling of the signals. */
  [Symbol.dispose](): void {
    for (const { name, handler } of this.#handlers) process.removeListener(name, handler);
  }
}
