import type { FastifyInstance } from 'fastify';
import { RND1 } from '../model';
import { integerOption, optionsObject, quote, stringOption } from '../validate';
import { createApp } from './app';
import { Connections } from './connections';
import { Context } from './context';
import { ApiError } from './errors';
import { Metrics } from './metrics';
import { readServerOptions, type ServerOptions } from './options';
import { Queue } from './queue';
import { openTemplateWorker } from './template-worker';

/** Seconds that clients have to read how it ends, once `shutdownTimeout` is over. */
const farewell = 1;

/** Where a server listens. */
export interface ListenOptions {
  /** @default '127.0.0.1' */
  readonly host?: string;
  /** 0 = any that is free. @default 8080 */
  readonly port?: number;
}

/** An HTTP server around one model; the model stays its owner's. */
export class Server {
  readonly #context: Context;
  readonly #connections: Connections;
  readonly #unwatch: () => void;
  #closed: Promise<void> | null = null;

  /** What clients call the model. */
  readonly modelName: string;
  /** For routes and plugins of one's own, before `listen`; `app.inject` answers without a port. */
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
   * Takes no new requests, lets running ones end for `shutdownTimeout` seconds, aborts what is left then and closes the
   * connections a second later, whatever their clients do. The model is not disposed. May be called again.
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
      this.#context.chatTemplate.close();
    }
  }
}

/**
 * An HTTP server with OpenAI's API, the model's own one and the page at `/`; it listens once `listen` is called.
 *
 * @throws TypeError or RangeError for wrong options
 */
export async function createServer(model: RND1, options?: ServerOptions): Promise<Server> {
  if (!(model instanceof RND1)) throw new TypeError(`model must be an RND1, not ${quote(model)}`);
  const settings = readServerOptions(options, model);
  const queue = new Queue(settings);
  const metrics = new Metrics(queue);
  // The event loop makes no tokens and renders nothing from here on: no request can hold up the others.
  await model.textWorkers.start();
  const template = await openTemplateWorker(model, settings, metrics.onLost('template'));
  const context = new Context(model, settings, queue, metrics, template);
  const connections = new Connections(settings);
  return new Server(await createApp(context, connections), context, connections);
}
