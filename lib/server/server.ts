import type { FastifyInstance } from 'fastify';
import { DiffusionLM } from '../diffusion-lm';
import { integerOption, optionsObject, quote, stringOption } from '../support/validate';
import { createApp } from './app';
import { openFolder } from './batches';
import { Connections } from './connections';
import { Context } from './context';
import { ApiError } from './errors';
import { Metrics } from './metrics';
import { openChatPrompts } from './openai/prompts';
import { readServerOptions, type ServerOptions } from './options';
import { Queue } from './queue';

/** Seconds for clients to read the final error after `shutdownTimeout`. */
const farewell = 1;

/** Address to listen on. */
export interface ListenOptions {
  /** @default '127.0.0.1' */
  readonly host?: string;
  /** 0 = any free port. @default 8080 */
  readonly port?: number;
}

/** An HTTP server for one model, which it never disposes. */
export class Server {
  readonly #context: Context;
  readonly #connections: Connections;
  readonly #unwatch: () => void;
  #closed: Promise<void> | null = null;

  /** Model name that requests use. */
  readonly modelName: string;
  /** The Fastify instance: add routes and plugins before `listen`; `app.inject` works without a port. */
  readonly app: FastifyInstance;

  /** @internal */
  constructor(app: FastifyInstance, context: Context, connections: Connections) {
    this.app = app;
    this.#context = context;
    this.#connections = connections;
    this.modelName = context.settings.modelName;
    const { model, metrics } = context;
    const ends = [model.onStep(metrics.onStep), model.textWorkers.onLost(metrics.onLost('tokenizer'))];
    this.#unwatch = () => {
      for (const end of ends) end();
    };
  }

  /**
   * Begins to listen.
   *
   * @returns the server's URL
   */
  async listen(options?: ListenOptions): Promise<string> {
    const given = optionsObject('options', options, { host: true, port: true });
    const host = stringOption('host', given.host ?? '127.0.0.1');
    const port = integerOption('port', given.port ?? 8080, 0, 65535);
    return this.app.listen({ host, port });
  }

  /**
   * Refuses new requests, waits up to `shutdownTimeout` seconds for running ones, then aborts the rest and closes all
   * connections one second later. The model is not disposed. Further calls return the same promise.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    const { calls, settings } = this.#context;
    const connections = this.#connections;
    this.#context.closing = true;
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<void>((resolve) => {
      const abort = () => {
        for (const call of calls)
          call.abort(new ApiError(503, 'shutting_down', 'the server is shutting down'));
        timer = setTimeout(resolve, farewell * 1000);
      };
      timer = setTimeout(abort, settings.shutdownTimeout * 1000);
    });
    try {
      const closed = this.app.close();
      connections.drain();
      await Promise.race([this.#context.idle(), over]);
      await Promise.race([connections.empty(), over]);
      connections.destroy();
      await closed;
    } finally {
      clearTimeout(timer);
      this.#unwatch();
      this.#context.chatPrompts.close();
    }
  }
}

/**
 * Creates an HTTP server with OpenAI's API, rnd1's own API and the page at `/`. Call `listen` to start it.
 *
 * @throws TypeError or RangeError for wrong options, RND1Error `invalid_checkpoint` for a wrong chat template
 */
export async function createServer(model: DiffusionLM, options?: ServerOptions): Promise<Server> {
  if (!(model instanceof DiffusionLM))
    throw new TypeError(`model must be a DiffusionLM, not ${quote(model)}`);
  const settings = readServerOptions(options, model);
  const queue = new Queue(settings);
  const metrics = new Metrics(queue, () => model.cacheBytes);
  // From here on, worker threads tokenize and render, so that no request blocks the event loop.
  await model.textWorkers.start();
  const prompts = await openChatPrompts(model, settings, metrics.onLost('template'));
  const context = new Context(model, settings, queue, metrics, prompts);
  const connections = new Connections(settings);
  const folder = await openFolder(settings).catch((error: unknown) => {
    prompts.close();
    throw error;
  });
  return new Server(await createApp(context, connections, folder), context, connections);
}
