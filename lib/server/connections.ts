import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Connection } from './connection';
import { ApiError } from './errors';
import { asHttpError, type ParserError } from './http-errors';

export interface ConnectionLimits {
  readonly maxConnections: number;
  /** Seconds for a request to arrive, and for a response to be read; 0 = no limit for the latter. */
  readonly stallTimeout: number;
}

/** Seconds for a request to arrive if `stallTimeout` sets no limit. */
const longestArrival = 60;
/** Seconds that a connection may wait for its next request, unless `stallTimeout` is less. */
const longestIdle = 75;
/** Seconds that a refused connection keeps reading, so that its client receives the error. */
const longestFarewell = 2;
/** Connections beyond the limit that get an error; further ones are closed without a response. */
const farewells = 64;
/** Limit of headers, more than any client sends. */
const maxHeaders = 200;

/** The connections of a server: limits their number and the time of each phase. */
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

  /** Creates a server that passes requests to `handler`, one at a time per connection. */
  serve(handler: (request: IncomingMessage, response: ServerResponse) => void): Server {
    // Timeouts are implemented here: Node's own timers also count while this side does not read.
    const server = createServer({ requireHostHeader: false, headersTimeout: 0, requestTimeout: 0 });
    // Announced to clients: less than they have, so that none sends a request while its connection is being closed.
    server.keepAliveTimeout = Math.max(this.#idle - 2, this.#idle / 2) * 1000;
    server.maxHeadersCount = maxHeaders;
    const receive = (request: IncomingMessage, response: ServerResponse) => {
      const connection = this.#open.get(request.socket);
      // Node silently drops headers beyond its limit.
      if (request.rawHeaders.length >= 2 * maxHeaders) {
        const message = `the request has ${maxHeaders} headers or more`;
        connection?.refuse(new ApiError(431, 'headers_too_large', message));
      } else if (connection !== undefined) {
        arrivals.set(request, connection);
        connection.receive({ request, response });
      }
    };
    const refuse = (status: number, code: string, message: string) => (_: IncomingMessage, socket: Socket) =>
      this.#open.get(socket)?.refuse(new ApiError(status, code, message));
    server
      .on('connection', (socket) => this.#add(socket, handler))
      .on('request', receive)
      // A client that sends `Expect: 100-continue` gets `100 Continue` when its body is read.
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

  /** Handles the errors of Node's HTTP parser. */
  readonly onClientError = (error: ParserError, socket: Socket): void => {
    const connection = this.#open.get(socket);
    if (connection === undefined || error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else connection.refuse(asHttpError(error));
  };

  /** Refuses new requests: closes connections that are idle or receiving, and the others after their responses. */
  drain(): void {
    this.#closing = true;
    for (const connection of this.#open.values()) {
      const { phase } = connection;
      if (phase === 'receiving') connection.refuse(shuttingDown());
      else connection.closeAfterAnswer();
    }
  }

  /** Resolves when no connection is open. */
  empty(): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onEmpty = resolve;
    });
  }

  /** Closes all connections immediately. */
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
   * Whether there is room for one more connection. If necessary, closes the one that has been idle, receiving or
   * sending for longest; never one whose request is being computed.
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

  /** Closes connections that exceed a time limit. */
  #sweep(): void {
    const { stallTimeout } = this.#limits;
    const arrival = stallTimeout > 0 ? stallTimeout : longestArrival;
    for (const connection of this.#open.values()) {
      const seconds = connection.elapsed / 1000;
      // The client does not read its responses, or its pipelined requests keep other clients waiting.
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

const arrivals = new WeakMap<IncomingMessage, Connection>();

/** Gives the rest of a long body as much time to arrive as a whole request has. */
export function awaitMore(request: IncomingMessage): void {
  arrivals.get(request)?.goesOn();
}

/** Sends `100 Continue` to a client that waits for it. */
export function askForBody(request: IncomingMessage): void {
  continuations.get(request)?.();
  continuations.delete(request);
}
