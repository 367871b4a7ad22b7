import { createInterface, type Interface } from 'node:readline';
import { unlessAborted } from '../support/unless-aborted';

/** Where the turns of a conversation come from. */
export interface TurnReader {
  /** The next turn, maybe of several lines; null at the end. Rejects with the signal's reason when it aborts. */
  next(signal: AbortSignal): Promise<string | null>;
  close(): void;
}

/** A line that ends with a backslash continues on the next one. */
const continued = /\\$/;

/** Turns from a pipe or a file: a line each. */
export class LineReader implements TurnReader {
  readonly #interface: Interface;
  readonly #lines: AsyncIterator<string>;

  constructor(input: NodeJS.ReadableStream) {
    this.#interface = createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
    this.#lines = this.#interface[Symbol.asyncIterator]();
  }

  async next(signal: AbortSignal): Promise<string | null> {
    const lines: string[] = [];
    for (;;) {
      const { done, value } = await unlessAborted(this.#lines.next(), signal);
      if (done) return lines.length > 0 ? lines.join('\n') : null;
      if (!continued.test(value)) return [...lines, value].join('\n');
      lines.push(value.replace(continued, ''));
    }
  }

  close(): void {
    this.#interface.close();
  }
}

const prompt = '> ';
const continuation = '… ';
const beginPastes = '\x1b[?2004h';
const endPastes = '\x1b[?2004l';

/**
 * Turns from a terminal, edited line by line, with a history. Lines of a pasted block are one turn. The terminal is in
 * its ordinary mode between two turns, so that Ctrl-C is a signal then.
 */
export class TerminalReader implements TurnReader {
  #history: string[] = [];
  /** Turns that were typed ahead, and the begun line after them. */
  readonly #ahead: string[] = [];
  #begun = '';

  constructor(
    private readonly input: NodeJS.ReadableStream,
    private readonly output: NodeJS.WritableStream,
  ) {}

  async next(signal: AbortSignal): Promise<string | null> {
    signal.throwIfAborted();
    return this.#ahead.shift() ?? this.#ask(signal);
  }

  close(): void {}

  #ask(signal: AbortSignal): Promise<string | null> {
    const { input, output } = this;
    const line = createInterface({
      input,
      output,
      prompt,
      history: this.#history,
      removeHistoryDuplicates: true,
    });
    const turn = new TurnLines();
    let first: string | null = null;
    const onKey = (_: unknown, key: { readonly name?: string } | undefined) => {
      if (key?.name === 'paste-start') turn.pasting = true;
      if (key?.name === 'paste-end') turn.pasting = false;
    };
    return new Promise<string | null>((resolve, reject) => {
      const onAbort = () => {
        reject(signal.reason);
        line.close();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      input.on('keypress', onKey);
      line.on('history', (history: string[]) => {
        this.#history = history;
      });
      line.on('line', (text) => {
        const whole = turn.add(text);
        if (whole === null) {
          line.setPrompt(continuation);
          line.prompt();
        } else if (first !== null) {
          this.#ahead.push(whole);
        } else {
          first = whole;
          // Only after the rest of what was read at once, which may be further lines.
          setImmediate(() => {
            this.#begun = line.line;
            line.close();
          });
        }
      });
      line.on('SIGINT', () => {
        if (turn.isEmpty && line.line === '') {
          line.close();
          return;
        }
        turn.clear();
        output.write('\n');
        // Removes the line without a trace in the history.
        line.write(null, { ctrl: true, name: 'e' });
        line.write(null, { ctrl: true, name: 'u' });
        line.setPrompt(prompt);
        line.prompt();
      });
      line.on('close', () => {
        signal.removeEventListener('abort', onAbort);
        input.removeListener('keypress', onKey);
        output.write(first === null ? `${endPastes}\n` : endPastes);
        resolve(first);
      });
      output.write(beginPastes);
      line.prompt();
      if (this.#begun !== '') line.write(this.#begun);
      this.#begun = '';
    });
  }
}

/** The lines of a turn that is being entered. */
class TurnLines {
  #lines: string[] = [];
  /** Within a pasted block newlines do not end the turn. */
  pasting = false;

  get isEmpty(): boolean {
    return this.#lines.length === 0;
  }

  /** The whole turn if the line completes it, else null. */
  add(line: string): string | null {
    if (this.pasting) this.#lines.push(line);
    else if (continued.test(line)) this.#lines.push(line.replace(continued, ''));
    else {
      const whole = [...this.#lines, line].join('\n');
      this.clear();
      return whole;
    }
    return null;
  }

  clear(): void {
    this.#lines = [];
  }
}
