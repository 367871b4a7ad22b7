import type { FastifyReply, FastifyRequest } from 'fastify';
import { batchLineOf } from './clients';
import { ApiError } from './errors';

/** Abort reason of a call whose client has closed the connection. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone';

  constructor() {
    super('the client went away');
  }
}

/** Whether the whole response was handed over: to the socket, or to the batch that asked for it. */
export const wasSent = (request: FastifyRequest, { raw }: FastifyReply): boolean =>
  batchLineOf(request) !== null ? raw.writableEnded : raw.writableFinished;

/** One request while it is answered: the abort signal of its computation, and the clock. */
export class Call {
  readonly #controller = new AbortController();
  readonly #start = performance.now();
  readonly #timer: NodeJS.Timeout | undefined;
  readonly signal: AbortSignal = this.#controller.signal;
  readonly #onLineAbort = () => this.abort(new ClientGone());

  /** @param timeout seconds until it is aborted; 0 = never */
  constructor(
    readonly request: FastifyRequest,
    private readonly reply: FastifyReply,
    timeout: number,
  ) {
    const line = batchLineOf(request)?.signal;
    line?.addEventListener('abort', this.#onLineAbort);
    if (line?.aborted) this.#onLineAbort();
    reply.raw.once('close', () => {
      line?.removeEventListener('abort', this.#onLineAbort);
      clearTimeout(this.#timer);
      if (!wasSent(request, reply)) this.abort(new ClientGone());
    });
    if (timeout > 0) {
      const late = () => this.abort(new ApiError(504, 'timeout', `the answer took more than ${timeout} s`));
      this.#timer = setTimeout(late, timeout * 1000).unref();
    }
  }

  get id(): string {
    return this.request.id;
  }

  /** Milliseconds since the request was read. */
  get elapsed(): number {
    return performance.now() - this.#start;
  }

  /** Calls `callback` when the response is sent or aborted. */
  onEnd(callback: () => void): void {
    if (this.reply.raw.closed) callback();
    else this.reply.raw.once('close', callback);
  }

  abort(reason: Error): void {
    clearTimeout(this.#timer);
    this.#controller.abort(reason);
  }
}
