import type { FastifyInstance, FastifyReply } from 'fastify';
import type { SamplingOptions, Template, TextResult } from '../../types';
import type { Call } from '../call';
import type { Context } from '../context';
import { samplingOf, seedJSON, seedOf } from '../fields';
import { frameEvents } from '../frame-events';
import { absentNulls } from '../nulls';
import { computing, responses, textAnswer } from '../responses';
import { type FillBody, fillBody, type InfillBody, infillBody } from '../schemas';
import { begin, checkTextLength, type Frames, lengthOf } from '../work';

/** `POST /v1/infill` and `POST /v1/fill`: whole texts, or with `stream` the events of `/v1/denoise`. */
export function addInfill(app: FastifyInstance, context: Context): void {
  const { model, settings } = context;
  const preValidation = absentNulls;
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
    const texts = [input.prefix, input.suffix];
    return respond(context, call, reply, body, texts, (sampling) => model.denoiseInfill(input, sampling));
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
    const texts = textsOf(text as Template);
    return respond(context, call, reply, body, texts, (sampling) =>
      model.denoiseFill(text as Template, { ...sampling, ...holes }),
    );
  });
}

/** The texts of a template, holes aside. */
export function textsOf(template: Template): string[] {
  return typeof template === 'string' ? [template] : template.filter((piece) => typeof piece === 'string');
}

async function respond(
  context: Context,
  call: Call,
  reply: FastifyReply,
  body: InfillBody | FillBody,
  texts: readonly string[],
  framesOf: (sampling: SamplingOptions) => Frames,
): Promise<unknown> {
  const { model, settings, metrics } = context;
  checkTextLength(lengthOf(texts), context);
  const seed = seedOf(body);
  const frames = framesOf(samplingOf(body, seed, call.signal));
  const work = await begin(model, frames, { ...settings, seed, text: true, mayEnd: false });
  const entering = context.enter(call, 1);
  if (body.stream === true) return context.stream(call, reply, frameEvents(context, call, work, entering));
  const leave = await entering;
  try {
    for (;;) {
      const next = await frames.next();
      if (!next.done) continue;
      const { text, written, positions, forwards } = next.value as TextResult;
      const cost = { promptTokens: work.promptTokens, completionTokens: positions.length, steps: forwards };
      metrics.onAnswer(cost);
      context.answered(call, texts, written);
      return {
        id: call.id,
        model: settings.modelName,
        seed: seedJSON(seed),
        text,
        written,
        usage: {
          prompt_tokens: cost.promptTokens,
          completion_tokens: cost.completionTokens,
          total_tokens: cost.promptTokens + cost.completionTokens,
          steps: forwards,
        },
      };
    }
  } finally {
    leave();
    await frames.return(undefined as never);
  }
}
