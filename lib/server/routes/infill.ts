import type { FastifyInstance } from 'fastify';
import type { Template } from '../../api/types';
import { answerCanvas } from '../canvas-answer';
import type { Context } from '../context';
import { absentNulls } from '../nulls';
import { computing, responses, textAnswer } from '../responses';
import { type FillBody, fillBody, type InfillBody, infillBody } from '../schemas';

/** `POST /v1/infill` and `POST /v1/fill`: whole texts, or with `stream` the events of `/v1/denoise`. */
export function addInfill(app: FastifyInstance, context: Context): void {
  const { model, settings } = context;
  const preValidation = absentNulls;
  const kind = { text: true, mayEnd: false };
  const answers = responses(settings, textAnswer, computing);
  const infill = {
    operationId: 'infill',
    summary: 'Write between two texts',
    tags: ['rnd1'],
    body: infillBody,
    ...answers,
  };
  app.post<{ Body: InfillBody }>('/v1/infill', { schema: infill, preValidation }, async (request, reply) => {
    const { body } = request;
    const call = context.open(request, reply, body.model);
    const { prefix, suffix, length } = body;
    const input = { prefix: prefix ?? '', suffix: suffix ?? '', length };
    return answerCanvas(context, call, reply, body, {
      ...kind,
      texts: [input.prefix, input.suffix],
      stream: body.stream === true,
      framesOf: (sampling) => model.denoiseInfill(input, sampling),
    });
  });

  const fill = {
    operationId: 'fill',
    summary: 'Fill holes anywhere in a text',
    tags: ['rnd1'],
    body: fillBody,
    ...answers,
  };
  app.post<{ Body: FillBody }>('/v1/fill', { schema: fill, preValidation }, async (request, reply) => {
    const { body } = request;
    const call = context.open(request, reply, body.model);
    const { text, hole, tokens_per_hole } = body;
    const holes = { hole: hole ?? undefined, tokensPerHole: tokens_per_hole ?? undefined };
    return answerCanvas(context, call, reply, body, {
      ...kind,
      texts: textsOf(text as Template),
      stream: body.stream === true,
      framesOf: (sampling) => model.denoiseFill(text as Template, { ...sampling, ...holes }),
    });
  });
}

/** The texts of a template, without its holes. */
export function textsOf(template: Template): string[] {
  return typeof template === 'string' ? [template] : template.filter((piece) => typeof piece === 'string');
}
