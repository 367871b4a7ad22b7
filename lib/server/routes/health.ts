import type { FastifyInstance } from 'fastify';
import type { Context } from '../context';
import { ApiError } from '../errors';

/** `/healthz`, `/readyz`, `/metrics` and `/openapi.json` */
export function addHealth(app: FastifyInstance, context: Context): void {
  const open = { open: true };
  app.get(
    '/healthz',
    { schema: { summary: 'Whether the process answers', tags: ['operation'] }, config: open },
    async () => ({ status: 'ok' }),
  );
  app.get(
    '/readyz',
    { schema: { summary: 'Whether new requests are taken', tags: ['operation'] }, config: open },
    async () => {
      if (context.closing) throw new ApiError(503, 'shutting_down', 'the server is shutting down');
      return { status: 'ready' };
    },
  );
  const { metrics } = context;
  app.get('/metrics', { schema: { summary: 'Prometheus metrics', tags: ['operation'] } }, async (_, reply) =>
    reply.type(metrics.registry.contentType).send(await metrics.text()),
  );
  let document: Buffer | null = null;
  app.get('/openapi.json', { schema: { hide: true }, config: open }, async (_, reply) => {
    document ??= Buffer.from(JSON.stringify(app.swagger()));
    return reply.type('application/json; charset=utf-8').send(document);
  });
}
