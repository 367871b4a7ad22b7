import type { ServerResponse } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ChatPrompts } from '../chat/chat-prompts';
import type { Tokenizer } from '../checkpoint/tokenizer/tokenizer';
import type { DiffusionLM } from '../diffusion-lm';
import { RND1Error } from '../support/errors';
import { setOwner } from '../support/owners';
import { quote } from '../support/validate';
import { batchLineOf, clientOf } from './clients';
import { ApiError, asApiError } from './errors';
import { watchedStream } from './event-stream';
import type { Cost, Metrics } from './metrics';
import type { ServerSettings } from './options';
import { Counts, type Leave, type Queue } from './queue';
import { Call, ClientGone } from './request-lifetime';
import { TokenTexts } from './token-texts';

const { version } = require('../../package.json') as { version: string };

/** State shared by all routes of a server. */
export class Context {
  /** Requests that are being computed. */
  readonly calls = new Set<Call>();
  /** Number of these requests by client. */
  readonly #requestsOf = new Counts();
  /** Requests of any kind whose responses are not finished. */
  #pending = 0;
  #onIdle: () => void = () => {};
  readonly texts: TokenTexts;
  /** Same fingerprint, seed and request: same text. */
  readonly fingerprint: string;
  /** Shutting down: no new requests. */
  closing = false;

  constructor(
    readonly model: DiffusionLM,
    readonly settings: ServerSettings,
    readonly queue: Queue,
    readonly metrics: Metrics,
    readonly chatPrompts: ChatPrompts,
  ) {
    const { device, instructionSet, dtype } = model.info;
    this.fingerprint = `rnd1-${version}-${device}-${instructionSet}-${dtype}`.replaceAll(' ', '_');
    this.texts = new TokenTexts(model.tokenizer);
  }

  /** Counts a response as pending until it is sent or aborted, then calls `callback`. */
  track(answer: ServerResponse, callback: () => void): void {
    this.#pending++;
    answer.once('close', () => {
      this.#pending--;
      callback();
      if (this.#pending === 0) this.#onIdle();
    });
  }

  /** Resolves when no answer is pending any more. */
  idle(): Promise<void> {
    if (this.#pending === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onIdle = resolve;
    });
  }

  /**
   * Starts to answer a request.
   *
   * @throws ApiError 404 for the name of another model, 429 beyond the limits of prompts or of the client's requests
   */
  open(request: FastifyRequest, reply: FastifyReply, modelName: string | null | undefined): Call {
    this.checkModel(modelName);
    this.checkPrompts();
    const client = clientOf(request);
    if (this.#requestsOf.of(client) >= this.settings.maxPerClient) throw this.queue.tooMany(client);
    // A batch has a time limit of its own.
    const timeout = batchLineOf(request) !== null ? 0 : this.settings.requestTimeout;
    const call = new Call(request, reply, timeout);
    setOwner(call.signal, client);
    this.calls.add(call);
    this.#requestsOf.add(client, 1);
    call.onEnd(() => {
      this.calls.delete(call);
      this.#requestsOf.add(client, -1);
    });
    return call;
  }

  checkModel(name: string | null | undefined): void {
    const { modelName } = this.settings;
    if (name === undefined || name === null || name === modelName) return;
    throw new ApiError(404, 'model_not_found', `there is no model ${quote(name)} here, but '${modelName}'`, {
      param: 'model',
    });
  }

  /** @throws RND1Error `tokenizer_missing` */
  tokenizer(): Tokenizer {
    const { tokenizer, info } = this.model;
    if (tokenizer !== null) return tokenizer;
    throw new RND1Error('tokenizer_missing', `${info.folder} has no tokenizer.json, which texts need`);
  }

  /** Refuses a request for more canvases than one client may run: it would never get its places. */
  checkCount(canvases: number): void {
    const max = this.settings.maxRunningPerClient;
    if (canvases <= max) return;
    throw new ApiError(
      400,
      'too_many_canvases',
      `the request makes ${canvases} canvases, but this server runs at most ${max} of one client at once`,
    );
  }

  /** Refuses a request if too many prompts wait to be tokenized or rendered. */
  checkPrompts(): void {
    const { maxQueued } = this.settings;
    const waiting = this.model.textWorkers.pending + this.chatPrompts.pending;
    if (waiting <= maxQueued) return;
    throw new ApiError(429, 'queue_full', `${waiting} prompts wait to be tokenized: try again in a second`, {
      headers: { 'retry-after': '1' },
    });
  }

  /**
   * Requests places in the queue, which are released at the end of the response at the latest.
   *
   * @throws ApiError 429 immediately if the queue is full
   */
  enter(call: Call, canvases: number): Promise<Leave> {
    const entering = this.queue.enter(canvases, call.signal, clientOf(call.request));
    // A stream that is closed before its first read never starts its generator, which would release them.
    entering.then((leave) => call.onEnd(leave)).catch(() => {});
    return entering;
  }

  /** Adds the cost of every canvas to the metrics; logs prompts and answers if `logPrompts` is set. */
  answered(call: Call, prompts: readonly string[], answers: readonly string[], costs: readonly Cost[]): void {
    for (const cost of costs) this.metrics.onAnswer(cost);
    if (this.settings.logPrompts) call.request.log.info({ prompts, answers }, 'answer');
  }

  /** Logs why a response was not finished. */
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
      .send(watchedStream(chunks, { keepAlive, stallTimeout, onStall }));
  }
}
