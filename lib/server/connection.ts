import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { ApiError } from './errors';
import { rawAnswer } from './http-errors';

/** A request and its response. */
export interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** State of a connection. */
export type Phase = 'idle' | 'receiving' | 'working' | 'sending' | 'ended';

/**
 * Bytes that the parser gets at once. It cannot be paused within them, so they bound how many requests are parsed
 * before the first one pauses the socket.
 */
const sliceBytes = 512;

/**
 * One connection. Its requests are answered one at a time (HTTP/1.1 orders the responses anyway), and the socket is
 * paused while a request waits. TCP backpressure then stops a client that sends without reading: it costs at most one
 * response, the requests of one slice, and what the socket had read before the pause.
 */
export class Connection {
  #current: Exchange | null = null;
  #waiting: Exchange[] = [];
  /** The error to send once the requests before it are answered. */
  #refusal: ApiError | null = null;
  /** The current request is the last one. */
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
    // A `data` listener also detaches the parser from the socket's handle, where it would read past `push`.
    socket.on('data', () => {
      if (this.#current === null && this.#phase === 'idle') {
        // Node's keep-alive timer would close it without a response.
        socket.setTimeout(0);
        this.#enter('receiving');
      }
      this.#holdUp();
    });
    // The parser resumes the socket at the end of each request, and so does reading a body.
    socket.on('resume', () => this.#holdUp());
  }

  /** `receiving`: a head or a body has begun, or the connection is new; `sending`: a response waits to be read. */
  get phase(): Phase {
    if (this.#phase === 'working' && this.#current?.request.complete === false) return 'receiving';
    return this.#phase;
  }

  /** Milliseconds in this phase; for a request that arrives, since the start of its head or of its body. */
  get elapsed(): number {
    return performance.now() - this.#since;
  }

  /** Milliseconds for which requests have been waiting without interruption. */
  get backlog(): number {
    return this.#backlogSince === null ? 0 : performance.now() - this.#backlogSince;
  }

  /** Notes that a long body goes on arriving: its time begins anew. */
  goesOn(): void {
    if (this.phase === 'receiving') this.#since = performance.now();
  }

  /** Accepts a request from the parser. */
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
      // The client may still be sending: an immediate close would send a reset instead of the response.
      this.#enter('ended');
      this.socket.end(rawAnswer(error));
      this.socket.removeAllListeners('data').resume();
    }
  }

  /** Closes the connection after the current response. */
  closeAfterAnswer(): void {
    this.#last = true;
    if (this.#current === null) this.socket.destroySoon();
    else this.#current.response.shouldKeepAlive = false;
  }

  /** Pauses reading while requests or a refusal wait. */
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
      // Data that the socket has already read is parsed before this.
      setImmediate(() => {
        if (this.#phase === 'idle') this.#backlogSince = null;
      });
    }
  }

  /** Runs in a later turn of the event loop, so that a flood of small requests does not block other connections. */
  #beginNext(): void {
    const next = this.socket.destroyed ? undefined : this.#waiting.shift();
    if (next === undefined) this.#waiting = [];
    else this.#begin(next);
    if (this.#waiting.length === 0) this.socket.resume();
  }
}

/** Makes a socket emit its data in small slices. */
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
