import type { FastifyInstance } from 'fastify';
import type { Answer } from '../batch/outcome';
import { seedOf } from '../batch/request';
import { askAs } from './clients';
import { ApiError } from './errors';

/** Answers lines of a batch as requests to the same routes, with the same checks. `client` is whom they are for. */
export function lineAnswers(app: FastifyInstance, client: string): Answer {
  return async (request, signal) => {
    const { url, body, id } = request;
    try {
      if (body.stream === true) {
        const message = 'stream must be false: a batch has whole answers';
        throw new ApiError(400, 'invalid_value', message, { param: 'stream' });
      }
      const payload = payloadOf((body.seed ?? null) === null ? { ...body, seed: seedOf(request) } : body);
      const headers = { 'content-type': 'application/json', 'x-request-id': id };
      const answer = await askAs({ client, signal }, (remoteAddress) =>
        app.inject({ method: 'POST', url, payload, headers, remoteAddress }),
      );
      signal.throwIfAborted();
      const whole = answer.json() as Record<string, unknown>;
      // The same line gives the same bytes, whenever it is answered.
      if ('created' in whole) whole.created = 0;
      return { response: { status: answer.statusCode, requestId: id, body: whole } };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof ApiError)) throw error;
      return { response: { status: error.status, requestId: id, body: { error: error.body } } };
    }
  };
}

function payloadOf(body: object): string {
  try {
    return JSON.stringify(body);
  } catch (error) {
    // The parser has no limit of depth.
    throw new ApiError(400, 'invalid_value', 'the body is nested too deep', { cause: error });
  }
}
