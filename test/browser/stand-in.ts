import { join } from 'node:path';
import fastify, { type FastifyReply } from 'fastify';
import { addStaticFiles } from '../../lib/server/static-files';

/** A server that serves the page and sends responses scripted by a test. */
export interface StandIn {
  readonly url: string;
  /** Handler of the next requests to /v1/denoise. */
  answer: (reply: FastifyReply, send: Send) => Promise<unknown> | unknown;
  close(): Promise<void>;
}

export type Send = (event: string, data: unknown) => void;

/** A schedule that the page does not know. */
const schedules = [
  {
    type: 'waves',
    commits: 'in waves of WIDTH',
    parameter: { name: 'width', unit: 'tokens', min: 1, max: 9, suggested: 4 },
  },
];

/** Serves the page with scripted responses. */
export async function standIn(): Promise<StandIn> {
  const app = fastify({ forceCloseConnections: true });
  await addStaticFiles(app, join(__dirname, '../../lib/server/page'));
  app.get('/v1/models', () => ({ object: 'list', data: [{ id: 'nano', embedded: true, schedules }] }));
  app.post('/v1/denoise', async (_, reply) => {
    const send: Send = (event, data) => {
      if (!reply.raw.headersSent) {
        reply.hijack();
        reply.raw.writeHead(200, { 'content-type': 'text/event-stream' });
      }
      reply.raw.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    };
    return server.answer(reply, send);
  });
  const server: StandIn = {
    url: await app.listen({ host: '127.0.0.1', port: 0 }),
    answer: (reply) => reply.code(500).send(),
    close: () => app.close(),
  };
  return server;
}

/** `start` of a canvas: a given text, then masks. */
export const start = (text: string, masks: number) => ({
  id: 'run',
  model: 'nano',
  seed: 7,
  steps: masks,
  tokens: Array.from({ length: text.length + masks }, (_, position) => ({
    position,
    id: 1,
    text: text[position] ?? '<|mask|>',
    masked: position >= text.length,
  })),
});

/** `frame` number `step` of a canvas whose masks are filled from left to right, one a step. */
export const frame = (text: string, masks: number, step: number, written = 'x', confidence = 0.5) => {
  const prediction = (position: number) => ({ position, id: 1, text: written, confidence, entropy: 0.7 });
  return {
    step,
    masked: masks - step,
    committed: [prediction(text.length + step - 1)],
    provisional: Array.from({ length: masks - step }, (_, i) => prediction(text.length + step + i)),
    elapsed_ms: step * 50,
  };
};
