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
