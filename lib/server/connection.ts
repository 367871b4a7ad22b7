import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ApiError } from './errors';
import { rawAnswer } from './http-errors';

/** A request, and the answer to be written. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** What a connection does. */
export type Phase = 'idle' | 'receiving' | 'working' | 'sending' | 'ended';

/**
 * Bytes that the parser gets at once. It cannot be stopped inside of them, so they bound how many requests can be parsed
 * before the first of them holds up the others.
 */
const sliceBytes = 512;

/**
 * One connection. Its requests are answered one at a time, as HTTP/1.1 orders the answers anyway, and nothing is read
 * from the socket while a request waits: a client that sends and does not read is held up by its own system, and costs
 * no more than one answer, the requests of a slice, and what the socket had read before it was paused.
 */
export class Connection {
  #current: Exchange | null = null;
  #waiting: Exchange[] = [];
  /** To be told once the requests before it are answered. */
  #refusal: ApiError | null = null;
  /** No request is taken after the one that is being answered. */
  #last = false;
  #backlogSince: number | null = null;
  #phase: Phase = 'receiving';
  #since = performance.now();

  constructor(
    readonly socket: Socket,
    private readonly handle: (exchange: Exchange) => void,
  ) {
    slice(socket);
    socket.on('error', () => {});
    // A listener of its own also takes the socket back from the parser, which otherwise reads past `push`.
    socket.on('data', () => {
      if (this.#current === null && this.#phase === 'idle') {
        // Node's timer for idle connections would close it without a word.
        socket.setTimeout(0);
        this.#enter('receiving');
      }
      this.#holdUp();
    });
    // The parser resumes the socket at the end of each request, and bodies do when they are read.
    socket.on('resume', () => this.#holdUp());
  }

  /** `receiving`: a head or a body has begun, or the connection is new; `sending`: an answer waits to be read. */
  get phase(): Phase {
    if (this.#phase === 'working' && this.#current?.request.complete === false) return 'receiving';
    return this.#phase;
  }

  /** Milliseconds that it has been in its phase; of a request that arrives, since its head began or ended. */
  get elapsed(): number {
    return performance.now() - this.#since;
  }

  /** Milliseconds that requests have waited for others all the time. */
  get backlog(): number {
    return this.#backlogSince === null ? 0 : performance.now() - this.#backlogSince;
  }

  /** Takes a request that the parser has found. */
  receive(exchange: Exchange): void {
    if (this.#phase === 'ended') return;
    if (this.#current === null && this.#waiting.length === 0) this.#begin(exchange);
    else {
      this.#waiting.push(exchange);
      this.#backlogSince ??= performance.now();
    }
  }

  /** Answers with an error after the requests that came before, and closes the connection. */
  refuse(error: ApiError): void {
    if (this.#phase === 'ended') return;
    if (this.#current?.request.complete === true) {
      this.#refusal ??= error;
      this.socket.pause();
    } else if (this.#current?.response.headersSent === true) {
      this.socket.destroy();
    } else {
      // The other side may still be sending: closed at once, it would see a reset instead of the answer.
      this.#enter('ended');
      this.socket.end(rawAnswer(error));
      this.socket.removeAllListeners('data').resume();
    }
  }

  /** Closes it after the answer that is on its way. */
  closeAfterAnswer(): void {
    this.#last = true;
    if (this.#current === null) this.socket.destroySoon();
    else this.#current.response.shouldKeepAlive = false;
  }

  /** Stops reading where something is to be done first. */
  #holdUp(): void {
    if (this.#phase === 'ended') return;
    if (this.#waiting.length > 0 || this.#refusal !== null) this.socket.pause();
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#since = performance.now();
  }

  #begin(exchange: Exchange): void {
    this.#current = exchange;
    this.#enter('working');
    const { response } = exchange;
    response.once('prefinish', () => this.#enter('sending'));
    response.once('close', () => this.#next());
    this.handle(exchange);
  }

  #next(): void {
    this.#current = null;
    const { socket } = this;
    if (this.#last) socket.destroySoon();
    if (socket.destroyed || socket.writableEnded || this.#phase === 'ended') {
      this.#waiting = [];
      return;
    }
    this.#enter('idle');
    if (this.#waiting.length > 0) setImmediate(() => this.#beginNext());
    else if (this.#refusal !== null) this.refuse(this.#refusal);
    else {
      socket.resume();
      // What the socket has read already is parsed before.
      setImmediate(() => {
        if (this.#phase === 'idle') this.#backlogSince = null;
      });
    }
  }

  /** After a turn of the event loop, so that a flood of small requests leaves other connections their turns. */
  #beginNext(): void {
    const next = this.socket.destroyed ? undefined : this.#waiting.shift();
    if (next === undefined) this.#waiting = [];
    else this.#begin(next);
    if (this.#waiting.length === 0) this.socket.resume();
  }
}

/** Makes a socket hand out what it reads in small pieces. */
function slice(socket: Socket): void {
  const push = socket.push.bind(socket);
  socket.push = (chunk: unknown, encoding?: BufferEncoding) => {
    if (!Buffer.isBuffer(chunk) || chunk.length <= sliceBytes) return push(chunk, encoding);
    let more = true;
    for (let start = 0; start < chunk.length; start += sliceBytes) {
      more = push(chunk.subarray(start, start + sliceBytes), encoding);
    }
    return more;
  };
}
