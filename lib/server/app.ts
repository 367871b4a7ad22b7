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
import { printableName } from '../printable';
import { keyCheck } from './auth';
import { addBodies } from './body';
import { ClientGone } from './call';
import { setKey } from './clients';
import type { Connections } from './connections';
import type { Context } from './context';
import { ApiError, asApiError } from './errors';
import { absoluteTarget, HostCheck } from './hosts';
import { addChat } from './routes/chat';
import { addCompletions } from './routes/completions';
import { addDenoise } from './routes/denoise';
import { addHealth } from './routes/health';
import { addInfill } from './routes/infill';
import { addModels } from './routes/models';
import { addStaticFiles } from './static-files';
import { validationError } from './validation';

/** What nginx logs for a client that closed its connection before the answer was out. */
const clientGone = 499;

const { version } = require('../../package.json') as { version: string };

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Needs no API key. */
    open?: boolean;
  }
}

/** The HTTP application: plugins, hooks that concern all routes, and the routes. */
export async function createApp(context: Context, connections: Connections): Promise<FastifyInstance> {
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
    // `onRequest` says it, in the shape of all errors.
    return503OnClosing: false,
    rewriteUrl: ({ url = '/' }) => absoluteTarget(url)?.path ?? url,
    genReqId: requestId,
    // Values are what they are: '4' is no number, and nothing is taken out of a body in silence.
    ajv: {
      customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false, verbose: true },
    },
    schemaErrorFormatter: validationError,
  });
  addBodies(app, settings.maxBodyBytes);
  // Response schemas are for readers of the document; answers are written as they are.
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
  // Before the keys: a browser asks without one whether it may ask.
  if (settings.corsOrigins.length > 0) {
    const origin = settings.corsOrigins.includes('*') ? '*' : [...settings.corsOrigins];
    const exposedHeaders = ['x-request-id', 'retry-after'];
    await app.register(cors, {
      origin,
      exposedHeaders,
      methods: ['GET', 'POST'],
      maxAge: 600,
      strictPreflight: false,
    });
  }
  if (settings.apiKeys.length > 0) {
    const check = keyCheck(settings.apiKeys);
    app.addHook('onRequest', async (request) => {
      if (request.routeOptions.config?.open === true) return;
      const key = check(request.headers.authorization);
      if (settings.apiKeys.length > 1) setKey(request, key);
    });
  }
  addErrors(app);

  addHealth(app, context);
  addModels(app, context);
  addCompletions(app, context);
  addChat(app, context);
  addInfill(app, context);
  addDenoise(app, context);
  if (settings.page !== false) await addStaticFiles(app, settings.page);
  return app;
}

/** Errors as all routes tell them. */
function addErrors(app: FastifyInstance): void {
  const methodsOf = methodFinder(app);
  const notFound = (request: FastifyRequest): never => {
    const path = pathOf(request);
    const methods = methodsOf(path);
    if (methods.length === 0) {
      const meant = methodsOf(`/v1${path}`).length > 0 ? `, but /v1${path}` : '';
      throw new ApiError(404, 'not_found', `there is no ${request.method} ${path}${meant}`);
    }
    const allow = methods.join(', ');
    throw new ApiError(405, 'method_not_allowed', `${path} takes ${allow}, not ${request.method}`, {
      headers: { allow },
    });
  };
  // Before its body is read: what no route takes needs none that is right.
  app.addHook('onRequest', async (request) => {
    if (request.is404) notFound(request);
  });
  app.setNotFoundHandler(notFound);
  app.setErrorHandler(sendError);
}

/** Collects the routes that are added from now on, and tells the methods that a path takes. */
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
  // A stream that cannot be sent any more fails in its own words.
  if (error instanceof ClientGone || reply.raw.destroyed) {
    request.log.info('the client went away');
    return reply.code(clientGone).send();
  }
  const told = fromFramework(error as FastifyError);
  if (told.status >= 500) request.log.error({ err: error }, 'failed');
  return reply.code(told.status).headers(told.headers).send({ error: told.body });
}

/** What the log and the metrics learn of every request, however it ended. */
function record(context: Context, request: FastifyRequest, reply: FastifyReply, seconds: number): void {
  const { method, routeOptions } = request;
  const status = reply.raw.writableFinished ? reply.statusCode : clientGone;
  context.metrics.onRequest(routeOptions.url ?? 'none', status, seconds);
  request.log.info({ method, path: pathOf(request), status, seconds }, 'request');
}

/** What the framework refuses, and what the routes throw, as an answer. */
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

/** Clients write into it what they like. */
const pathOf = (request: FastifyRequest) => printableName(request.url.split('?', 1)[0] as string);

/** The client's own id where it is one, to be found again in both logs. */
function requestId(request: { headers: Record<string, string | string[] | undefined> }): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID();
}
