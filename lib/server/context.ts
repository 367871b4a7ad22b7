import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RND1 } from '../model';
import { Call, ClientGone } from './call';
import { ApiError, asApiError } from './errors';
import { eventStream } from './event-stream';
import type { Metrics } from './metrics';
import type { ServerSettings } from './options';
import type { Leave, Queue } from './queue';
import { TokenTexts } from './token-texts';

/** What all routes of a server share. */
export class Context {
  /** Requests that are answered right now. */
  readonly calls = new Set<Call>();
  readonly texts: TokenTexts;
  /** Shutting down: no new requests. */
  closing = false;

  constructor(
    readonly model: RND1,
    readonly settings: ServerSettings,
    readonly queue: Queue,
    readonly metrics: Metrics,
  ) {
    this.texts = new TokenTexts(model.tokenizer);
  }

  /** Begins to answer a request; the name of a model that is not here is refused. */
  open(request: FastifyRequest, reply: FastifyReply, modelName: string | null | undefined): Call {
    this.checkModel(modelName);
    const call = new Call(request, reply, this.settings.requestTimeout);
    this.calls.add(call);
    call.onEnd(() => this.calls.delete(call));
    return call;
  }

  checkModel(name: string | null | undefined): void {
    const { modelName } = this.settings;
    if (name === undefined || name === null || name === modelName) return;
    throw new ApiError(404, 'model_not_found', `there is no model '${name}' here, but '${modelName}'`, {
      param: 'model',
    });
  }

  /**
   * Asks for places in the queue, which are given back at the end of the answer at the latest.
   *
   * @throws ApiError 429 at once where the queue is full
   */
  enter(call: Call, canvases: number): Promise<Leave> {
    const { maxRunning } = this.settings;
    if (canvases > maxRunning) {
      throw new ApiError(
        422,
        'too_many_canvases',
        `the request makes ${canvases} canvases, but this server works on ${maxRunning} at once`,
      );
    }
    const entering = this.queue.enter(canvases, call.signal);
    // A stream that nobody reads any more does not even begin.
    entering.then((leave) => call.onEnd(leave)).catch(() => {});
    return entering;
  }

  /** Logs why an answer was not finished. */
  failed(call: Call, error: unknown): void {
    const { log } = call.request;
    if (error instanceof ClientGone) log.info('the client went away');
    else if (asApiError(error).status < 500) log.info({ err: error }, 'refused');
    else log.error({ err: error }, 'failed');
  }

  /** Answers with `text/event-stream`. */
  stream(call: Call, reply: FastifyReply, chunks: AsyncGenerator<string, void>): FastifyReply {
    const { keepAlive, stallTimeout } = this.settings;
    const onStall = () => {
      call.abort(new ApiError(408, 'stalled', `the stream was not read for ${stallTimeout} s`));
      reply.raw.destroy();
    };
    return reply
      .header('content-type', 'text/event-stream; charset=utf-8')
      .header('cache-control', 'no-store')
      .header('x-accel-buffering', 'no')
      .send(eventStream(chunks, { keepAlive, stallTimeout, onStall }));
  }
}
