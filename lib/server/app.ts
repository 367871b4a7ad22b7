import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import cors from '@fastify/cors';
import swagger from '@fastify/swagger';
import fastify, {
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify';
import type { BatchFolder } from '../batch/folder';
import { printableName } from '../support/printable';
import { keyCheck } from './auth';
import { addFilesAndBatches } from './batches';
import { addBodies } from './body';
import { batchLineOf, setKey } from './clients';
import type { Connections } from './connections';
import type { Context } from './context';
import { ApiError, asApiError } from './errors';
import { absoluteTarget, HostCheck } from './hosts';
import { addChat } from './openai/chat';
import { addCompletions } from './openai/completions';
import { ClientGone, wasSent } from './request-lifetime';
import { addDenoise } from './routes/denoise';
import { addHealth } from './routes/health';
import { addInfill } from './routes/infill';
import { addModels } from './routes/models';
import { addStaticFiles } from './static-files';
import { validationError } from './validation';

/** Status that nginx logs if a client closes its connection before the response is sent. */
const clientGone = 499;

const { version } = require('../../package.json') as { version: string };

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Needs no API key, and works during shutdown. */
    open?: boolean;
  }
}

/** Creates the HTTP application: plugins, hooks for all routes, and the routes. */
export async function createApp(
  context: Context,
  connections: Connections,
  folder: BatchFolder | null,
): Promise<FastifyInstance> {
  const { settings } = context;
  const hosts = new HostCheck(settings);
  const app = fastify({
    logger: settings.logger as false,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'id' }),
    bodyLimit: settings.maxBodyBytes,
    serverFactory(handler) {
      const server = connections.serve(handler);
      return server.on('listening', () => hosts.bound((server.address() as AddressInfo).address));
    },
    clientErrorHandler: (error: Error, socket) => connections.onClientError(error, socket),
    frameworkErrors: sendError,
    // The `onRequest` hook does this, with a body like that of all errors.
    return503OnClosing: false,
    rewriteUrl: ({ url = '/' }) => absoluteTarget(url)?.path ?? url,
    genReqId: requestId,
    // No coercion ('4' is not a number), and no field is removed silently.
    ajv: {
      customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false, verbose: true },
    },
    schemaErrorFormatter: validationError,
  });
  addBodies(app, settings.maxBodyBytes);
  // Response schemas only document the API: responses are serialized without them.
  app.setSerializerCompiler(() => (data) => JSON.stringify(data));

  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'rnd1',
        version,
        description: 'Masked-diffusion language models, served by rnd1.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      components:
        settings.apiKeys.length === 0 ? {} : { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
      security: settings.apiKeys.length === 0 ? [] : [{ key: [] }],
    },
  });
  app.addHook('onRequest', async (request, reply) => {
    const start = performance.now();
    context.track(reply.raw, () => record(context, request, reply, (performance.now() - start) / 1000));
    reply.header('x-request-id', request.id);
    hosts.check(request);
    const always = request.routeOptions.config?.open === true;
    if (context.closing && !always) throw new ApiError(503, 'shutting_down', 'the server is shutting down');
  });
  // Before the key check: browsers send preflight requests without a key.
  if (settings.corsOrigins.length > 0) {
    const origin = settings.corsOrigins.includes('*') ? '*' : [...settings.corsOrigins];
    const exposedHeaders = ['x-request-id', 'retry-after'];
    await app.register(cors, {
      origin,
      exposedHeaders,
      methods: ['GET', 'POST', 'DELETE'],
      maxAge: 600,
      strictPreflight: false,
    });
  }
  if (settings.apiKeys.length > 0) {
    const check = keyCheck(settings.apiKeys);
    app.addHook('onRequest', async (request) => {
      if (request.routeOptions.config?.open === true || batchLineOf(request) !== null) return;
      const key = check(request.headers.authorization);
      if (settings.apiKeys.length > 1) setKey(request, key);
    });
  }
  addErrors(app, settings);

  addHealth(app, context);
  addModels(app, context);
  addCompletions(app, context);
  addChat(app, context);
  addInfill(app, context);
  addDenoise(app, context);
  if (folder !== null) addFilesAndBatches(app, context, folder);
  if (settings.page !== false) await addStaticFiles(app, settings.page);
  return app;
}

/** Error handling of all routes. */
function addErrors(app: FastifyInstance, { batchFolder }: Context['settings']): void {
  const methodsOf = methodFinder(app);
  const notFound = (request: FastifyRequest): never => {
    const path = pathOf(request);
    const methods = methodsOf(path);
    if (methods.length === 0) {
      const meant = methodsOf(`/v1${path}`).length > 0 ? `, but /v1${path}` : '';
      if (batchFolder === null && /^\/v1\/(files|batches)(\/|$)/.test(path)) {
        throw new ApiError(
          404,
          'not_found',
          'files and batches need --batch-folder (batchFolder) of the server',
        );
      }
      throw new ApiError(404, 'not_found', `there is no ${request.method} ${path}${meant}`);
    }
    const allow = methods.join(', ');
    throw new ApiError(405, 'method_not_allowed', `${path} takes ${allow}, not ${request.method}`, {
      headers: { allow },
    });
  };
  // Before the body is read: without a route, it does not matter whether the body is valid.
  app.addHook('onRequest', async (request) => {
    if (request.is404) notFound(request);
  });
  app.setNotFoundHandler(notFound);
  app.setErrorHandler(sendError);
}

/** Collects the routes that are added from now on; the result returns the methods of a path. */
function methodFinder(app: FastifyInstance): (path: string) => string[] {
  const routes: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = [];
  app.addHook('onRoute', ({ url, method }) => {
    const literal = url.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    const pattern = new RegExp(`^${literal.replace(/:[^/]+/g, '[^/]+')}$`);
    routes.push({ pattern, methods: [method].flat() });
  });
  return (path) => [
    ...new Set(routes.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods)),
  ];
}

function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  // Streams whose connection is closed fail with errors of their own.
  if (error instanceof ClientGone || reply.raw.destroyed) {
    request.log.info('the client went away');
    return reply.code(clientGone).send();
  }
  const told = fromFramework(error as FastifyError);
  if (told.status >= 500) request.log.error({ err: error }, 'failed');
  return reply.code(told.status).headers(told.headers).send({ error: told.body });
}

/** Logs every request and adds it to the metrics, however it ended. */
function record(context: Context, request: FastifyRequest, reply: FastifyReply, seconds: number): void {
  const { method, routeOptions } = request;
  const status = wasSent(request, reply) ? reply.statusCode : clientGone;
  context.metrics.onRequest(routeOptions.url ?? 'none', status, seconds);
  request.log.info({ method, path: pathOf(request), status, seconds }, 'request');
}

/** Turns errors of Fastify and of the routes into responses. */
function fromFramework(error: FastifyError): ApiError {
  if (error instanceof ApiError) return error;
  const { statusCode = 500, code, message } = error;
  if (statusCode < 400 || statusCode >= 500) return asApiError(error);
  const codes: Readonly<Record<string, string>> = {
    FST_ERR_CTP_BODY_TOO_LARGE: 'body_too_large',
    FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
    FST_ERR_CTP_EMPTY_JSON_BODY: 'invalid_json',
    FST_ERR_CTP_INVALID_JSON_BODY: 'invalid_json',
    FST_ERR_BAD_URL: 'invalid_url',
    FST_ERR_MAX_PARAM_LENGTH: 'invalid_url',
  };
  const text = code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' ? `${message}: send application/json` : message;
  return new ApiError(statusCode, codes[code] ?? 'bad_request', text, { cause: error });
}

/** The path, made printable: clients control every character of it. */
const pathOf = (request: FastifyRequest) => printableName(request.url.split('?', 1)[0] as string);

/** The client's `x-request-id` if it is valid, so that both logs have the same id. */
function requestId(request: { headers: Record<string, string | string[] | undefined> }): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}
