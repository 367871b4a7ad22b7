import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Connection } from './connection';
import { ApiError } from './errors';
import { asHttpError, type ParserError } from './http-errors';

export interface ConnectionLimits {
  readonly maxConnections: number;
  /** Seconds for a request to arrive, and for an answer to be read; 0 = any for the latter. */
  readonly stallTimeout: number;
}

/** Seconds for a request to arrive where `stallTimeout` sets no limit. */
const longestArrival = 60;
/** Seconds that a connection may wait for its next request, unless `stallTimeout` is less. */
const longestIdle = 75;
/** Seconds that a connection goes on reading after it was refused, so that its client sees why. */
const longestFarewell = 2;
/** Connections beyond the limit that are told so; further ones are closed without a word. */
const farewells = 64;
/** More headers than any client sends. */
const maxHeaders = 200;

/** The connections of a server: how many there may be, and how long each may take for what it does. */
export class Connections {
  readonly #open = new Map<Socket, Connection>();
  readonly #limits: ConnectionLimits;
  #sweeper: NodeJS.Timeout | null = null;
  #closing = false;
  #onEmpty: () => void = () => {};

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  get #idle(): number {
    return Math.min(longestIdle, this.#limits.stallTimeout || longestIdle);
  }

  /** A server whose requests reach `handler` one at a time from each connection. */
  serve(handler: (request: IncomingMessage, response: ServerResponse) => void): Server {
    // Times are watched here, for Node's own count on while it is us who do not read.
    const server = createServer({ requireHostHeader: false, headersTimeout: 0, requestTimeout: 0 });
    // What clients are told: less than they have, so that none sends a request while its connection is being closed.
    server.keepAliveTimeout = Math.max(this.#idle - 2, this.#idle / 2) * 1000;
    server.maxHeadersCount = maxHeaders;
    const receive = (request: IncomingMessage, response: ServerResponse) => {
      const connection = this.#open.get(request.socket);
      // Node drops the headers beyond its limit in silence.
      if (request.rawHeaders.length >= 2 * maxHeaders) {
        const message = `the request has ${maxHeaders} headers or more`;
        connection?.refuse(new ApiError(431, 'headers_too_large', message));
      } else connection?.receive({ request, response });
    };
    const refuse = (status: number, code: string, message: string) => (_: IncomingMessage, socket: Socket) =>
      this.#open.get(socket)?.refuse(new ApiError(status, code, message));
    server
      .on('connection', (socket) => this.#add(socket, handler))
      .on('request', receive)
      // A client that asks before it sends its body is told to go on when the body is read.
      .on('checkContinue', (request, response) => {
        continuations.set(request, () => response.writeContinue());
        receive(request, response);
      })
      .on('checkExpectation', (request) =>
        refuse(417, 'expectation_failed', 'Expect can only be 100-continue')(request, request.socket),
      )
      .on('connect', refuse(405, 'method_not_allowed', 'this server is no proxy: it takes no CONNECT'));
    return server;
  }

  /** What Node's parser has found to be wrong. */
  readonly onClientError = (error: ParserError, socket: Socket): void => {
    const connection = this.#open.get(socket);
    if (connection === undefined || error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else connection.refuse(asHttpError(error));
  };

  /** Takes no new requests: closes what is idle or still sends its request, and the others after their answers. */
  drain(): void {
    this.#closing = true;
    for (const connection of this.#open.values()) {
      const { phase } = connection;
      if (phase === 'receiving') connection.refuse(shuttingDown());
      else connection.closeAfterAnswer();
    }
  }

  /** Resolves when none is open any more. */
  empty(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  /** Closes all of them at once. */
  destroy(): void {
    for (const socket of this.#open.keys()) socket.destroy();
  }

  #add(socket: Socket, handler: (request: IncomingMessage, response: ServerResponse) => void): void {
    const { maxConnections } = this.#limits;
    if (this.#open.size >= maxConnections + farewells) {
      socket.destroy();
      return;
    }
    const full = this.#open.size >= maxConnections && !this.#makeRoom();
    const connection = new Connection(socket, ({ request, response }) => handler(request, response));
    this.#open.set(socket, connection);
    this.#sweeper ??= this.#startSweeper();
    socket.once('close', () => {
      this.#open.delete(socket);
      if (this.#open.size > 0) return;
      clearInterval(this.#sweeper ?? undefined);
      this.#sweeper = null;
      this.#onEmpty();
    });
    if (!full && !this.#closing) return;
    const message = `this server has ${maxConnections} connections, all of them at work`;
    connection.refuse(this.#closing ? shuttingDown() : new ApiError(503, 'too_many_connections', message));
  }

  /**
   * Whether there is room for one more. If need be, the connection that has been of no use for longest makes it; whoever
   * works is left alone.
   */
  #makeRoom(): boolean {
    const living = [...this.#open.values()].filter(({ phase }) => phase !== 'ended');
    if (living.length < this.#limits.maxConnections) return true;
    const useless = living.filter(({ phase }) => phase !== 'working');
    useless.sort((a, b) => b.elapsed - a.elapsed);
    const [longest] = useless;
    if (longest === undefined) return false;
    longest.socket.destroy();
    this.#open.delete(longest.socket);
    return true;
  }

  #startSweeper(): NodeJS.Timeout {
    const { stallTimeout } = this.#limits;
    const interval = stallTimeout > 0 ? Math.min(1000, stallTimeout * 125) : 1000;
    return setInterval(() => this.#sweep(), interval).unref();
  }

  /** Ends what takes too long. */
  #sweep(): void {
    const { stallTimeout } = this.#limits;
    const arrival = stallTimeout > 0 ? stallTimeout : longestArrival;
    for (const connection of this.#open.values()) {
      const seconds = connection.elapsed / 1000;
      // Nobody reads that many answers, or others are kept waiting for them.
      if (connection.backlog / 1000 > arrival) connection.closeAfterAnswer();
      switch (connection.phase) {
        case 'receiving':
          if (seconds > arrival) {
            const message = `the request did not arrive within ${arrival} s`;
            connection.refuse(new ApiError(408, 'request_timeout', message));
          }
          break;
        case 'sending':
          if (stallTimeout > 0 && seconds > stallTimeout) connection.socket.destroy();
          break;
        case 'idle':
          if (seconds > this.#idle) connection.socket.destroy();
          break;
        case 'ended':
          if (seconds > longestFarewell) connection.socket.destroy();
      }
    }
  }
}

const shuttingDown = () => new ApiError(503, 'shutting_down', 'the server is shutting down');

const continuations = new WeakMap<IncomingMessage, () => void>();

/** Tells a client that waits for it to send its body. */
export function askForBody(request: IncomingMessage): void {
  continuations.get(request)?.();
  continuations.delete(request);
}
