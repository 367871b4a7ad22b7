import type { FastifyInstance } from 'fastify';
import type { Context } from '../context';
import { ApiError } from '../errors';
import { metricsAnswer, responses, statusAnswer } from '../responses';

/** `/healthz`, `/readyz`, `/metrics` and `/openapi.json` */
export function addHealth(app: FastifyInstance, context: Context): void {
  const { settings } = context;
  const open = { open: true };
  app.get(
    '/healthz',
    {
      schema: {
        operationId: 'getHealth',
        summary: 'Liveness: whether the process responds',
        tags: ['operation'],
        security: [],
        ...responses(settings, statusAnswer, ['4xx'], open),
      },
      config: open,
    },
    async () => ({ status: 'ok' }),
  );
  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'getReadiness',
        summary: 'Readiness: whether new requests are accepted',
        tags: ['operation'],
        security: [],
        ...responses(settings, statusAnswer, ['4xx', 503], open),
      },
      config: open,
    },
    async () => {
      if (context.closing) throw new ApiError(503, 'shutting_down', 'the server is shutting down');
      return { status: 'ready' };
    },
  );
  const metrics = {
    operationId: 'getMetrics',
    summary: 'Prometheus metrics',
    tags: ['operation'],
    ...responses(settings, metricsAnswer, ['4xx', 500]),
  };
  app.get('/metrics', { schema: metrics }, async (_, reply) =>
    reply.type(context.metrics.registry.contentType).send(await context.metrics.text()),
  );
  let document: Buffer | null = null;
  app.get('/openapi.json', { schema: { hide: true }, config: open }, async (_, reply) => {
    document ??= Buffer.from(JSON.stringify(app.swagger()));
    return reply.type('application/json; charset=utf-8').send(document);
  });
}
