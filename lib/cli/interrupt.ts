/** Signals that end a run cleanly, and the exit code that shells give them. */
const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

type EndingSignal = keyof typeof exitCodes;

/** The reason of the abort that a signal brings about. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly exitCode: number;

  constructor(signal: EndingSignal) {
    super('interrupted');
    this.exitCode = exitCodes[signal];
  }
}

/** Aborts `signal` on the first Ctrl-C; from then on the system's own handling applies, and the next one kills. */
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

  /** Gives the signals back to the system. */
  [Symbol.dispose](): void {
    for (const { name, handler } of this.#handlers) process.removeListener(name, handler);
  }
}
